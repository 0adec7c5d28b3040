//! The formats of rows over HTTP: their words, their media types, and which one a client accepts.

use axum::http::HeaderValue;
use axum::http::header::{ACCEPT, HeaderMap};

use crate::fault::{Fault, Reason};
use crate::nearest::nearest;
use crate::rows::RowFormat;

/// Word, format, media type in answers, and the media types that ask for it.
const FORMATS: [(&str, RowFormat, &str, &[&str]); 5] = [
    (
        "json",
        RowFormat::Json,
        "application/json",
        &["application/json", "application/*", "*/*"],
    ),
    (
        "jsonl",
        RowFormat::JsonLines,
        "application/x-ndjson",
        &[
            "application/x-ndjson",
            "application/jsonl",
            "application/ndjson",
        ],
    ),
    (
        "csv",
        RowFormat::Csv,
        "text/csv; charset=utf-8; header=present",
        &["text/csv", "text/*"],
    ),
    (
        "parquet",
        RowFormat::Parquet,
        "application/vnd.apache.parquet",
        &["application/vnd.apache.parquet"],
    ),
    (
        "arrow",
        RowFormat::Arrow,
        "application/vnd.apache.arrow.stream",
        &["application/vnd.apache.arrow.stream"],
    ),
];

/// The format of a word.
pub(super) fn format_of(word: &str) -> Result<RowFormat, Fault> {
    let found = FORMATS.iter().find(|(known, ..)| *known == word);
    found.map(|(_, format, ..)| *format).ok_or_else(|| {
        let near = nearest(word, FORMATS.iter().map(|(known, ..)| *known));
        let near = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
        let message = format!("{word:?} is none of csv, json, jsonl, parquet, arrow{near}");
        Fault::of_field(Reason::InvalidRequest, "format", message)
    })
}

/// The media type of an answer.
pub(super) fn media_type(format: RowFormat) -> HeaderValue {
    let found = FORMATS.iter().find(|(_, known, ..)| *known == format);
    let (_, _, media, _) = found.expect("every format is in the table");
    HeaderValue::from_static(media)
}

/// The format that the `Accept` of a request asks for most; JSON where there is none.
///
/// # Errors
/// It accepts nothing that there is.
pub(super) fn accepted(headers: &HeaderMap) -> Result<RowFormat, Fault> {
    let mut best: Option<(RowFormat, f32)> = None;
    let mut is_asked = false;
    for value in headers.get_all(ACCEPT) {
        for wish in value.to_str().unwrap_or_default().split(',') {
            let mut parts = wish.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            if media.is_empty() {
                continue;
            }
            is_asked = true;
            let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
            let quality: f32 = quality.unwrap_or(1.0);
            let found = FORMATS
                .iter()
                .find(|(.., known)| known.contains(&media.as_str()));
            let Some((_, format, ..)) = found else {
                continue;
            };
            if quality > best.map_or(0.0, |(_, best)| best) {
                best = Some((*format, quality));
            }
        }
    }
    match best {
        Some((format, _)) => Ok(format),
        None if !is_asked => Ok(RowFormat::Json),
        None => {
            let message = "names none of text/csv, application/json, application/x-ndjson, \
                           application/vnd.apache.parquet, application/vnd.apache.arrow.stream";
            Err(Fault::of_field(Reason::InvalidRequest, "accept", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(accept: &str) -> Result<RowFormat, Reason> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().expect("a value"));
        accepted(&headers).map_err(|fault| fault.reason)
    }

    #[test]
    fn what_is_accepted_most_is_sent() {
        assert_eq!(accepted(&HeaderMap::new()).ok(), Some(RowFormat::Json));
        for (accept, format) in [
            ("*/*", RowFormat::Json),
            ("text/csv", RowFormat::Csv),
            ("TEXT/CSV;q=0.5, application/json;q=0.4", RowFormat::Csv),
            (
                "text/html, application/x-ndjson;q=0.9, */*;q=0.1",
                RowFormat::JsonLines,
            ),
            ("application/vnd.apache.parquet", RowFormat::Parquet),
            ("text/csv;q=0, */*;q=0.1", RowFormat::Json),
        ] {
            assert_eq!(of(accept), Ok(format), "{accept}");
        }
        for accept in ["text/html", "text/csv;q=0", "image/png, text/html"] {
            assert_eq!(of(accept), Err(Reason::InvalidRequest), "{accept}");
        }
    }

    #[test]
    fn formats_have_words() {
        assert_eq!(format_of("arrow"), Ok(RowFormat::Arrow));
        let fault = format_of("parket").expect_err("no such format");
        assert!(
            fault.message().contains("did you mean parquet?"),
            "{}",
            fault.message()
        );
        assert_eq!(media_type(RowFormat::Json), "application/json");
    }
}
