//! The sections that guard a server and tell of it: `[tls]`, `[log]`, `[metrics]`.

use std::path::PathBuf;

use anyhow::{bail, ensure};
use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use vitalog_server::{ClientAuthority, Tls, TlsFiles};

use super::Config;
use super::span::Span;

/// `[tls]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSection {
    /// The file of the server's certificate (PEM), and of those between it and its authority.
    pub cert_file: Option<PathBuf>,
    /// The file of its key (PEM).
    pub key_file: Option<PathBuf>,
    /// The file of the authorities of clients (PEM); with it clients must show a certificate.
    pub client_ca_file: Option<PathBuf>,
    /// Whether they must.
    pub client_auth: Option<ClientAuthName>,
}

/// What a client without a certificate may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuthName {
    /// Nothing: its connection is refused.
    Required,
    /// What its token allows.
    Optional,
}

/// `[log]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// How a line is written.
    pub format: Option<LogFormat>,
    /// What is written: a level, or directives as `warn,vitalog_server=debug`.
    pub level: Option<String>,
    /// From how long on a call is logged as slow.
    pub slow: Option<Span>,
    /// Where spans of calls are sent, as `http://127.0.0.1:4317`: a collector of OpenTelemetry
    /// over gRPC. Needs a program that was built with the feature `otlp`.
    pub otlp_endpoint: Option<String>,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object of JSON.
    Json,
}

/// `[metrics]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSection {
    /// Whether `/metrics` answers everyone, where tokens are asked for.
    pub open: Option<bool>,
}

impl TlsSection {
    /// The files that are named; `None` where TLS is not asked for.
    ///
    /// # Errors
    /// Some are named and others that they need are not.
    pub fn files(&self) -> anyhow::Result<Option<TlsFiles>> {
        let (cert_file, key_file) = match (&self.cert_file, &self.key_file) {
            (Some(cert_file), Some(key_file)) => (cert_file.clone(), key_file.clone()),
            (None, None) => {
                ensure!(
                    self.client_ca_file.is_none() && self.client_auth.is_none(),
                    "[tls] client_ca_file and client_auth need cert_file and key_file"
                );
                return Ok(None);
            }
            (Some(_), None) => bail!("[tls] cert_file needs key_file"),
            (None, Some(_)) => bail!("[tls] key_file needs cert_file"),
        };
        let required = self.client_auth.unwrap_or(ClientAuthName::Required);
        let required = required == ClientAuthName::Required;
        let client_ca = match &self.client_ca_file {
            Some(ca_file) => Some(ClientAuthority {
                ca_file: ca_file.clone(),
                required,
            }),
            None => {
                ensure!(
                    self.client_auth.is_none(),
                    "[tls] client_auth needs client_ca_file"
                );
                None
            }
        };
        Ok(Some(TlsFiles {
            cert_file,
            key_file,
            client_ca,
        }))
    }

    pub(super) fn load(&self) -> anyhow::Result<Option<Tls>> {
        Ok(self.files()?.map(Tls::load).transpose()?)
    }
}

impl Config {
    /// What is logged, where the variable `VITALOG_LOG` does not say: `level`, or else `default`.
    ///
    /// # Errors
    /// A level that is none.
    pub fn log_filter(&self, default: &str) -> anyhow::Result<EnvFilter> {
        let level = self.log.level.as_deref().unwrap_or(default);
        let parsed = EnvFilter::try_new(level);
        parsed.map_err(|error| anyhow::anyhow!("[log] level is {level:?}: {error}"))
    }

    /// Where spans of calls are sent.
    ///
    /// # Errors
    /// An address with a user: settings are shown, and a password with them. What was found is
    /// not repeated.
    pub fn otlp_endpoint(&self) -> anyhow::Result<Option<&str>> {
        let endpoint = self.log.otlp_endpoint.as_deref();
        ensure!(
            endpoint.is_none_or(|endpoint| !endpoint.contains('@')),
            "[log] otlp_endpoint has an `@`, expected an address without a user and a password: \
             http://127.0.0.1:4317"
        );
        Ok(endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::super::in_force::in_force;
    use super::*;

    fn files(text: &str) -> anyhow::Result<Option<TlsFiles>> {
        let config = Config::parse(text, std::iter::empty()).expect(text);
        config.tls.files()
    }

    #[test]
    fn files_that_need_each_other_come_together() {
        assert_eq!(files("").expect("nothing is asked for"), None);
        let pair = "[tls]\ncert_file = \"c\"\nkey_file = \"k\"\n";
        let found = files(pair).expect("a pair").expect("TLS");
        assert_eq!(found.client_ca, None);
        for (rest, required) in [
            ("client_ca_file = \"a\"", true),
            ("client_ca_file = \"a\"\nclient_auth = \"required\"", true),
            ("client_ca_file = \"a\"\nclient_auth = \"optional\"", false),
        ] {
            let found = files(&format!("{pair}{rest}")).expect(rest).expect("TLS");
            let authority = found.client_ca.expect("an authority");
            assert_eq!(authority.required, required, "{rest}");
        }
        for (text, words) in [
            ("[tls]\ncert_file = \"c\"", "needs key_file"),
            ("[tls]\nkey_file = \"k\"", "needs cert_file"),
            ("[tls]\nclient_ca_file = \"a\"", "need cert_file"),
            (
                "[tls]\ncert_file = \"c\"\nkey_file = \"k\"\nclient_auth = \"optional\"",
                "needs client_ca_file",
            ),
        ] {
            let error = files(text).expect_err(text).to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_level_that_is_none_is_refused() {
        let config = |text| Config::parse(text, std::iter::empty()).expect("valid");
        config("").log_filter("warn").expect("the default");
        let level = config("[log]\nlevel = \"warn,vitalog_server=debug\"");
        level.log_filter("warn").expect("directives");
        let wrong = config("[log]\nlevel = \"a=b=c\"").log_filter("warn");
        let error = wrong.expect_err("no directive").to_string();
        assert!(error.contains("[log] level"), "{error}");
    }

    #[test]
    fn an_address_of_spans_has_no_user() {
        let config = |text: &str| {
            let text = format!("[log]\notlp_endpoint = \"{text}\"");
            Config::parse(&text, std::iter::empty()).expect("valid")
        };
        let none = Config::default();
        assert_eq!(none.otlp_endpoint().expect("nothing is asked for"), None);
        let text = "https://collector.example.com:4317/a";
        let found = config(text);
        assert_eq!(found.otlp_endpoint().expect("plain"), Some(text));
        for text in [
            "http://me:hush@127.0.0.1:4317",
            "http://hush@collector",
            "me:hush@collector:4317",
        ] {
            let found = config(text);
            for refused in [found.otlp_endpoint().map(drop), in_force(&found).map(drop)] {
                let error = format!("{:#}", refused.expect_err(text));
                assert!(error.contains("[log] otlp_endpoint"), "{error}");
                assert!(!error.contains("hush"), "{error}");
            }
        }
    }
}
