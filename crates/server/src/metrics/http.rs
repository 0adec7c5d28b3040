//! What requests over HTTP count.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::durations;

/// A place of the site, as metrics and logs name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route(&'static str);

/// First parts of paths.
const ROUTES: [&str; 5] = ["/livez", "/readyz", "/metrics", "/query", "/snapshots"];

impl Route {
    /// The place that `path` lies in.
    pub fn of(path: &str) -> Self {
        let is_in = |route: &&str| {
            let rest = path.strip_prefix(route);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let found = ROUTES.into_iter().find(is_in);
        Self(found.unwrap_or(super::rpc::OTHER))
    }

    pub fn name(self) -> &'static str {
        self.0
    }

    /// Whether an answer takes as long as the server makes it, and not as its reader likes.
    pub fn is_quick(self) -> bool {
        self.0 != "/snapshots"
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabel {
    route: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StatusLabel {
    route: &'static str,
    status: u16,
}

#[derive(Debug)]
pub(super) struct HttpFamilies {
    requests: Family<StatusLabel, Counter>,
    took: Family<RouteLabel, Histogram, fn() -> Histogram>,
}

impl HttpFamilies {
    pub fn register(registry: &mut Registry) -> Self {
        let families = Self {
            requests: Family::default(),
            took: Family::new_with_constructor(durations as fn() -> Histogram),
        };
        let requests = families.requests.clone();
        registry.register("http_requests", "Requests that ended, by status", requests);
        let took = families.took.clone();
        registry.register(
            "http_duration_seconds",
            "From the head of a request to the end of its answer",
            took,
        );
        families
    }

    pub fn answered(&self, route: Route, status: u16, took: Duration) {
        let route = route.name();
        let label = StatusLabel { route, status };
        self.requests.get_or_create(&label).inc();
        let durations = self.took.get_or_create(&RouteLabel { route });
        durations.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_few_places() {
        for (path, name) in [
            ("/livez", "/livez"),
            ("/query", "/query"),
            ("/snapshots", "/snapshots"),
            ("/snapshots/events/latest", "/snapshots"),
            ("/snapshotsx", "other"),
            ("/", "other"),
            ("", "other"),
            ("/livez%00", "other"),
        ] {
            assert_eq!(Route::of(path).name(), name, "{path}");
        }
    }
}
