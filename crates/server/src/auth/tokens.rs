//! Bearer tokens: a file of hashes, one line a token.
//!
//! A line is `NAME SCOPES SHA256`: a name for people, scopes with commas between them, and the
//! SHA-256 of the token in 64 hexadecimal digits. Empty lines and those that start with `#` are
//! left out. The token itself is nowhere: whoever reads the file cannot use it.

use std::fmt;

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::principal::Principal;
use super::scope::Scope;
use super::secret::{from_hexadecimal, hexadecimal, is_equal};

/// What every token that Vitalog makes begins with, so that scanners for leaked secrets know one.
const TOKEN_PREFIX: &str = "vtl_";
/// Most tokens of a file.
const TOKENS_MAX: usize = 1_000;
/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Longest word that a message repeats, in bytes.
const WORD_BYTES_SHOWN: usize = 16;

/// A file of tokens that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct TokenError {
    /// The line, from 1.
    pub line: usize,
    /// What was expected and what was found.
    pub reason: String,
}

/// The tokens that a server knows.
#[derive(Clone, Debug)]
pub struct Tokens {
    lines: Vec<TokenLine>,
}

/// One token, as the file has it.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenLine {
    name: String,
    /// See [`Scope::bit`].
    scopes: u8,
    hash: [u8; 32],
}

impl Tokens {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// A line that is none, a name or a token that stands there twice, no token at all, or more
    /// than 1,000.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let mut lines: Vec<TokenLine> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let refused = |reason| TokenError {
                line: number,
                reason,
            };
            let line = TokenLine::parse(line).map_err(refused)?;
            if lines.iter().any(|other| other.name == line.name) {
                return Err(refused(format!("the name {:?} is taken", line.name)));
            }
            if lines.iter().any(|other| other.hash == line.hash) {
                return Err(refused("another line has the same token".to_owned()));
            }
            if lines.len() == TOKENS_MAX {
                return Err(refused(format!("more than {TOKENS_MAX} tokens")));
            }
            lines.push(line);
        }
        Ok(Self { lines })
    }

    /// Whether there is none, so that nobody is let in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The line of `token`. Every line is looked at, so that the time tells nothing.
    pub(super) fn find(&self, token: &[u8]) -> Option<&TokenLine> {
        self.find_hash(&hash_of(token))
    }

    /// The line of the token that has this hash.
    pub(super) fn find_hash(&self, hash: &[u8; 32]) -> Option<&TokenLine> {
        let lines = self.lines.iter();
        lines.fold(None, |found, line| {
            if is_equal(&line.hash, hash) {
                Some(line)
            } else {
                found
            }
        })
    }
}

impl TokenLine {
    /// The line of `token`, which gets `scopes`.
    ///
    /// # Errors
    /// A name that is empty, past 64 bytes or has characters other than ASCII letters, digits,
    /// `-`, `_` and `.`; no scope.
    pub fn new(name: &str, scopes: &[Scope], token: &str) -> Result<Self, String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_plain) {
            let name = shown(name);
            return Err(format!(
                "the name {name}: expected 1 to {NAME_BYTES_MAX} letters, digits, '-', '_' or '.'"
            ));
        }
        if scopes.is_empty() {
            return Err("no scope; a token without one opens nothing".to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            scopes: scopes.iter().fold(0, |set, scope| set | scope.bit()),
            hash: hash_of(token.as_bytes()),
        })
    }

    /// A new token that nobody can guess: 256 random bits.
    #[must_use]
    pub fn random_token() -> String {
        let digits = hexadecimal(&super::random_secret());
        format!("{TOKEN_PREFIX}{digits}")
    }

    /// The name for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the token opens what needs `scope`: `admin` opens everything.
    #[must_use]
    pub fn has(&self, scope: Scope) -> bool {
        self.principal().has(scope)
    }

    /// The caller who has this token.
    pub(super) fn principal(&self) -> Principal {
        Principal::of_token(&self.name, self.scopes)
    }

    fn parse(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, scopes, digits] = words[..] else {
            return Err(format!(
                "expected NAME SCOPES SHA256, found {} words",
                words.len()
            ));
        };
        let scope_of = |word| {
            Scope::parse(word).ok_or_else(|| {
                let word = shown(word);
                format!("there is no scope {word}; expected read, write or admin")
            })
        };
        let scopes = scopes
            .split(',')
            .map(scope_of)
            .collect::<Result<Vec<_>, _>>()?;
        let hash = from_hexadecimal(digits)
            .ok_or("the third word is no SHA-256 in 64 hexadecimal digits")?;
        Ok(Self {
            hash,
            ..Self::new(name, &scopes, "")?
        })
    }
}

/// The line of the file.
impl fmt::Display for TokenLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scopes = Scope::ALL
            .into_iter()
            .filter(|scope| self.scopes & scope.bit() != 0);
        let scopes: Vec<&str> = scopes.map(Scope::as_str).collect();
        let digits = hexadecimal(&self.hash);
        write!(formatter, "{} {} {digits}", self.name, scopes.join(","))
    }
}

impl fmt::Debug for TokenLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TokenLine({})", self.name)
    }
}

/// A word of a line for a message: one that is long may be a token in the wrong place.
fn shown(word: &str) -> String {
    if word.len() > WORD_BYTES_SHOWN || word.starts_with(TOKEN_PREFIX) {
        return format!("of {} bytes", word.len());
    }
    format!("{word:?}")
}

pub(super) fn hash_of(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back() {
        let token = TokenLine::random_token();
        let scopes = [Scope::Write, Scope::Read];
        let line = TokenLine::new("etl-1", &scopes, &token).expect("a line");
        let text = line.to_string();
        assert!(text.starts_with("etl-1 read,write "), "{text}");
        assert!(!text.contains(&token[TOKEN_PREFIX.len()..]), "{text}");
        let tokens = Tokens::parse(&text).expect("one line");
        assert_eq!(tokens.find(token.as_bytes()), Some(&line));
        assert_eq!(tokens.find(b"another"), None);
        assert_eq!(format!("{line:?}"), "TokenLine(etl-1)");
    }

    /// SHA-256 of "abc", from FIPS 180-2, appendix B.1.
    #[test]
    fn the_hash_is_sha256() {
        let line = TokenLine::new("a", &[Scope::Read], "abc").expect("a line");
        let digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(line.to_string(), format!("a read {digits}"));
    }

    #[test]
    fn wrong_lines_are_named() {
        let digits = "0".repeat(64);
        let cases = [
            ("a read".to_owned(), 1, "found 2 words"),
            (format!("# one\na read,all {digits}"), 2, "no scope \"all\""),
            ("a read 00".to_owned(), 1, "64 hexadecimal digits"),
            (format!("a/b read {digits}"), 1, "the name"),
            (format!("a read {digits}\nb read {digits}"), 2, "same token"),
            (
                format!("a read {digits}\na read {}", "1".repeat(64)),
                2,
                "is taken",
            ),
        ];
        for (text, line, words) in cases {
            let error = Tokens::parse(&text).expect_err(&text);
            assert_eq!(error.line, line, "{error}");
            assert!(error.reason.contains(words), "{error}");
        }
        assert!(TokenLine::new("a", &[], "x").is_err());
        let nobody = Tokens::parse("\n# nothing\n").expect("no line is wrong");
        assert!(nobody.is_empty() && nobody.find(b"").is_none());
    }

    #[test]
    fn a_token_in_the_wrong_place_is_not_repeated() {
        let (token, digits) = (TokenLine::random_token(), "0".repeat(64));
        for text in [
            format!("a {token} {digits}"),
            format!("{token} read {digits}"),
            format!("a read {token}"),
            token.clone(),
            format!("a read {digits} {token}"),
        ] {
            let error = Tokens::parse(&text).expect_err("no line");
            let said = format!("{error} {error:?}");
            assert!(!said.contains(&token[..12]), "{said}");
        }
    }
}
