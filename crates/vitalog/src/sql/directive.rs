//! The words that speak to the prompt itself and not to the store.

use clap::ValueEnum;

use super::format::OutputFormat;

/// What the prompt is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Directive {
    Tables,
    /// The columns of one table, or of all.
    Schema(Option<String>),
    /// The functions that match, or all.
    Functions(Option<String>),
    Timer(bool),
    Mode(OutputFormat),
    Help,
    Quit,
}

/// What `.help` shows.
pub(super) const HELP: &str = "\
A statement ends with a semicolon and may take several lines. Tab completes, Ctrl-C stops a
running statement or drops the line, Ctrl-D leaves.

.tables              the tables; also \\d
.schema [TABLE]      the columns of a table, or of all; also \\d TABLE
.functions [PATTERN] the functions with PATTERN in their name; * stands for anything
.timer on|off        whether to show how long a statement took
.mode FORMAT         how answers are written: table, json, jsonl, csv
.help                this
.quit                leaves; also \\q
";

/// Every word, as completion offers them.
pub(super) const WORDS: [&str; 10] = [
    ".tables",
    ".schema",
    ".functions",
    ".timer",
    ".mode",
    ".help",
    ".quit",
    "\\d",
    "\\q",
    "\\?",
];

/// Formats that the prompt can write.
pub(super) fn modes() -> impl Iterator<Item = OutputFormat> {
    OutputFormat::value_variants()
        .iter()
        .copied()
        .filter(|format| !format.is_binary())
}

/// Whether `text` speaks to the prompt.
pub(super) fn is_directive(text: &str) -> bool {
    let text = text.trim();
    let word = text.trim_end_matches(';').trim_end();
    text.starts_with(['.', '\\'])
        || ["quit", "exit", "help"]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known))
}

/// Reads what [`is_directive`].
///
/// # Errors
/// An unknown word, or a wrong argument; said for people.
pub(super) fn parse(text: &str) -> Result<Directive, String> {
    let mut words = text.trim().trim_end_matches(';').split_whitespace();
    let word = words.next().unwrap_or_default().to_ascii_lowercase();
    let argument = words.next().map(str::to_owned);
    if let Some(more) = words.next() {
        return Err(format!(
            "{word} takes one argument; {more:?} is one too many"
        ));
    }
    let alone = |directive| match &argument {
        None => Ok(directive),
        Some(argument) => Err(format!("{word} takes no argument, found {argument:?}")),
    };
    match word.as_str() {
        ".tables" | "\\dt" => alone(Directive::Tables),
        "\\d" if argument.is_none() => Ok(Directive::Tables),
        ".schema" | "\\d" => Ok(Directive::Schema(argument)),
        ".functions" | "\\df" => Ok(Directive::Functions(argument)),
        ".timer" => match argument.as_deref() {
            Some("on") => Ok(Directive::Timer(true)),
            Some("off") => Ok(Directive::Timer(false)),
            _ => Err(".timer takes on or off".to_owned()),
        },
        ".mode" => mode(argument.as_deref()).map(Directive::Mode),
        ".help" | "\\?" | "help" => alone(Directive::Help),
        ".quit" | ".exit" | "\\q" | "quit" | "exit" => alone(Directive::Quit),
        _ => Err(format!("{word} is unknown; .help lists what there is")),
    }
}

fn mode(name: Option<&str>) -> Result<OutputFormat, String> {
    let known: Vec<&str> = modes().map(OutputFormat::name).collect();
    let known = known.join(", ");
    let name = name.ok_or_else(|| format!(".mode takes one of {known}"))?;
    let format = OutputFormat::from_str(name, true)
        .map_err(|_| format!("there is no format {name:?}; .mode takes one of {known}"))?;
    if format.is_binary() {
        return Err(format!(
            "{name} is not for a prompt: COPY (SELECT …) TO 'file.parquet' writes a file, and \
             `vitalog sql --format {name} -c …` writes to stdout"
        ));
    }
    Ok(format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_that_is_offered_is_known() {
        for word in WORDS {
            assert!(is_directive(word));
            let found = parse(word);
            assert!(
                !found.is_err_and(|error| error.contains("unknown")),
                "{word}"
            );
        }
    }

    #[test]
    fn words_and_arguments() {
        let schema = |name: &str| Ok(Directive::Schema(Some(name.to_owned())));
        assert_eq!(parse(".tables"), Ok(Directive::Tables));
        assert_eq!(parse(" \\d ;"), Ok(Directive::Tables));
        assert_eq!(parse("\\d events"), schema("events"));
        assert_eq!(parse(".SCHEMA events;"), schema("events"));
        assert_eq!(parse(".timer off"), Ok(Directive::Timer(false)));
        assert_eq!(
            parse(".mode JSONL"),
            Ok(Directive::Mode(OutputFormat::Jsonl))
        );
        assert_eq!(parse("exit;"), Ok(Directive::Quit));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let fails = |text: &str, part: &str| {
            let error = parse(text).expect_err(text);
            assert!(error.contains(part), "{error}");
        };
        fails(".tabels", ".tabels is unknown");
        fails(".timer maybe", "on or off");
        fails(".mode xml", "table, json, jsonl, csv");
        fails(".mode parquet", "COPY");
        fails(".schema a b", "\"b\"");
        fails(".quit now", "no argument");
    }

    #[test]
    fn sql_is_no_directive() {
        assert!(!is_directive("SELECT 1;") && !is_directive("quit_reason") && !is_directive(""));
        assert!(is_directive("Help") && is_directive("quit ;") && is_directive("  \\q"));
    }
}
