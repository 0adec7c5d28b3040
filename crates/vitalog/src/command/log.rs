//! The log of the process: lines on stderr, and spans for a collector where one is named.

#[cfg(feature = "otlp")]
mod otlp;

use anyhow::anyhow;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{Config, LogFormat};

/// The variable that goes before all settings of the log.
const VARIABLE: &str = "VITALOG_LOG";

/// What must live as long as something may be logged.
#[must_use]
#[derive(Debug)]
pub(super) struct Log {
    #[cfg(feature = "otlp")]
    _export: Option<otlp::Export>,
}

/// Writes what the settings ask for from now on; `default` is the level where nothing says
/// otherwise.
///
/// # Errors
/// A level that is none, a collector that cannot be named so, a log that was started before.
pub(super) fn start(config: &Config, default: &str) -> anyhow::Result<Log> {
    let filter = match std::env::var(VARIABLE) {
        Ok(level) if !level.is_empty() => filter_of(&level)?,
        _ => config.log_filter(default)?,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match config.log.format.unwrap_or_default() {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let endpoint = config.otlp_endpoint()?;
    #[cfg(feature = "otlp")]
    {
        let export = endpoint.map(otlp::Export::to).transpose()?;
        let spans = export.as_ref().map(otlp::Export::spans);
        let registry = tracing_subscriber::registry().with(spans).with(lines);
        registry.with(filter).try_init()?;
        Ok(Log { _export: export })
    }
    #[cfg(not(feature = "otlp"))]
    {
        anyhow::ensure!(
            endpoint.is_none(),
            "[log] otlp_endpoint needs a program that was built with the feature otlp: cargo \
             build --release -p vitalog --features otlp"
        );
        let registry = tracing_subscriber::registry().with(lines);
        registry.with(filter).try_init()?;
        Ok(Log {})
    }
}

/// What the variable says.
fn filter_of(level: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(level).map_err(|error| anyhow!("{VARIABLE} is {level:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_is_none_is_refused() {
        filter_of("warn,vitalog_server=debug").expect("directives");
        let error = filter_of("a=b=c").expect_err("no directive").to_string();
        assert!(error.contains("VITALOG_LOG is \"a=b=c\""), "{error}");
    }
}
