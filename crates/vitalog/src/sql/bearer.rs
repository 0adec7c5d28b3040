//! The token that a client of a server sends.
//!
//! It comes from `VITALOG_TOKEN`, or from the file that `VITALOG_TOKEN_FILE` names, and never from
//! the command line, which every user of the machine can read.

use std::env::{VarError, var};
use std::fmt;

use anyhow::{Context, anyhow, bail};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// A connection on which every call carries the token.
pub(crate) type Line = InterceptedService<Channel, Bearer>;

const TOKEN: &str = "VITALOG_TOKEN";
const TOKEN_FILE: &str = "VITALOG_TOKEN_FILE";

/// Adds the token to calls, where there is one.
#[derive(Clone, Default)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    /// The token of the environment.
    ///
    /// # Errors
    /// Both variables are set, the file cannot be read, or the token cannot be sent.
    pub fn of_environment() -> anyhow::Result<Self> {
        let token = match (variable(TOKEN)?, variable(TOKEN_FILE)?) {
            (Some(_), Some(_)) => bail!("{TOKEN} and {TOKEN_FILE} are both set; expected one"),
            (Some(token), None) => Some(token),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(&path);
                Some(text.with_context(|| format!("{TOKEN_FILE}: cannot read {path}"))?)
            }
            (None, None) => None,
        };
        token.map_or(Ok(Self::default()), |token| Self::of(&token))
    }

    fn of(token: &str) -> anyhow::Result<Self> {
        let mut value: MetadataValue<Ascii> = format!("Bearer {}", token.trim())
            .parse()
            .map_err(|_| anyhow!("the token of {TOKEN} has characters that cannot be sent"))?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }

    /// Calls on `channel`, each with the token.
    pub fn over(self, channel: Channel) -> Line {
        InterceptedService::new(channel, self)
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Bearer({})", self.0.is_some())
    }
}

/// A variable that is set and not empty.
fn variable(name: &str) -> anyhow::Result<Option<String>> {
    match var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => bail!("{name} is not UTF-8"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_and_never_shown() {
        let mut bearer = Bearer::of(" vtl_secret\n").expect("a token");
        let request = bearer.call(Request::new(())).expect("nothing refuses it");
        let sent = request.metadata().get("authorization");
        let sent = sent.and_then(|value| value.to_str().ok());
        assert_eq!(sent, Some("Bearer vtl_secret"));
        assert!(!format!("{bearer:?} {request:?}").contains("secret"));
        assert!(Bearer::of("two\nlines").is_err());
        let without = Bearer::default().call(Request::new(())).expect("no token");
        assert!(without.metadata().is_empty());
    }
}
