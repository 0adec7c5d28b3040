//! `ViewService`: named views applied, dropped and listed, as the engine keeps them.

use tonic::{Request, Response, Status};
use vitalog_query::{QueryEngine, ViewDescription};
use vitalog_wire::vitalog::v1;
use vitalog_wire::vitalog::v1::view_service_server::ViewService;

use crate::fault::{Fault, Reason};
use crate::instant::timestamp;
use crate::limits::SQL_BYTES_MAX;
use crate::listing::{self, Key, Versioned, Wanted};
use crate::token::TokenKind;

/// Keeps named views.
#[derive(Debug)]
pub(crate) struct Views {
    pub engine: QueryEngine,
}

#[tonic::async_trait]
impl ViewService for Views {
    async fn apply(
        &self,
        request: Request<v1::ViewServiceApplyRequest>,
    ) -> Result<Response<v1::ViewServiceApplyResponse>, Status> {
        let v1::ViewServiceApplyRequest { name, sql } = request.into_inner();
        if sql.len() > SQL_BYTES_MAX {
            let message = format!(
                "the statement has {} bytes, at most {SQL_BYTES_MAX} (1 MiB) are taken",
                sql.len()
            );
            return Err(Fault::of_field(Reason::RequestTooLarge, "sql", message).into());
        }
        let view = self
            .engine
            .apply_view(&name, &sql)
            .await
            .map_err(Fault::from)?;
        let view = Some(view_of(view));
        Ok(Response::new(v1::ViewServiceApplyResponse { view }))
    }

    async fn drop(
        &self,
        request: Request<v1::ViewServiceDropRequest>,
    ) -> Result<Response<v1::ViewServiceDropResponse>, Status> {
        let name = request.into_inner().name;
        self.find(&name, None)?;
        let view = self.engine.drop_view(&name).await.map_err(Fault::from)?;
        let view = Some(view_of(view));
        Ok(Response::new(v1::ViewServiceDropResponse { view }))
    }

    async fn get(
        &self,
        request: Request<v1::ViewServiceGetRequest>,
    ) -> Result<Response<v1::ViewServiceGetResponse>, Status> {
        let v1::ViewServiceGetRequest { name, version } = request.into_inner();
        let view = Some(view_of(self.find(&name, version)?));
        Ok(Response::new(v1::ViewServiceGetResponse { view }))
    }

    async fn list(
        &self,
        request: Request<v1::ViewServiceListRequest>,
    ) -> Result<Response<v1::ViewServiceListResponse>, Status> {
        let request = request.into_inner();
        let wanted = Wanted {
            name: request.name,
            current_only: request.current_only,
            page_size: request.page_size,
            page_token: request.page_token,
        };
        let views = self.engine.views().map_err(Fault::from)?;
        let (views, next_page_token) = listing::page(TokenKind::Views, views, &wanted, |view| {
            let sql = String::new();
            Ok(v1::View {
                sql,
                ..view_of(view)
            })
        })?;
        Ok(Response::new(v1::ViewServiceListResponse {
            views,
            next_page_token,
        }))
    }
}

impl Views {
    /// A version of a view; the one in force where `version` is `None`.
    fn find(&self, name: &str, version: Option<u32>) -> Result<ViewDescription, Fault> {
        let views = self.engine.views()?;
        let is_sought = |view: &&ViewDescription| {
            view.name == name && version.map_or(view.is_current, |version| version == view.version)
        };
        if let Some(view) = views.iter().find(is_sought) {
            return Ok(view.clone());
        }
        if let (Some(version), true) = (version, views.iter().any(|view| view.name == name)) {
            let message = format!("the view {name:?} has no version {version}");
            return Err(Fault::of_field(Reason::ViewNotFound, "version", message));
        }
        let in_force = views.iter().filter(|view| view.is_current);
        let known = in_force.map(|view| view.name.as_str());
        let sought = ("name", "view", name);
        Err(Fault::not_found(Reason::ViewNotFound, sought, known))
    }
}

impl Versioned for ViewDescription {
    fn key(&self) -> Key {
        Key {
            name: self.name.clone(),
            version: self.version,
        }
    }

    fn is_current(&self) -> bool {
        self.is_current
    }
}

fn view_of(view: ViewDescription) -> v1::View {
    v1::View {
        name: view.name,
        version: view.version,
        valid_from: Some(timestamp(view.valid_from_us)),
        is_current: view.is_current,
        is_dropped: view.sql.is_none(),
        sql: view.sql.unwrap_or_default(),
    }
}
