//! Where one statement ends and the next begins.
//!
//! Splits with the tokenizer and the dialect with which statements are planned, so a semicolon in
//! a string, a quoted name, a dollar quote or a comment separates nothing here either. Invariant:
//! positions in an error about a statement are positions in the script it came from.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{
    Location, Token, TokenWithSpan, Tokenizer, TokenizerError,
};

/// One statement of a script, without its semicolon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement<'s> {
    script: &'s str,
    /// The bytes of the script before it.
    start: usize,
    end: usize,
    /// The line on which it begins, from 1.
    pub line: usize,
}

impl Statement<'_> {
    /// As written, from its first word on.
    pub fn text(&self) -> &str {
        self.script[self.start..self.end].trim_end()
    }

    /// The statement behind as much white space as stands text before it in the script, so that
    /// whoever reports a place in it reports the place in the script.
    pub fn placed(&self) -> String {
        let before = &self.script[..self.start];
        let line = before.rsplit('\n').next().unwrap_or_default();
        let indent = line
            .chars()
            .map(|char| if char == '\t' { '\t' } else { ' ' });
        let mut placed = "\n".repeat(self.line - 1);
        placed.extend(indent);
        placed.push_str(self.text());
        placed
    }
}

/// What a text holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Script<'s> {
    /// In order; what is nothing but white space and comments is none.
    pub statements: Vec<Statement<'s>>,
    /// Whether the text ends where a statement may end: behind a semicolon, or with nothing
    /// begun. `false` inside a quote or a comment, too.
    pub is_complete: bool,
}

/// Splits a text. A text that cannot be tokenized to its end is a last statement from there on:
/// planning it says what is wrong.
pub(super) fn split(text: &str) -> Script<'_> {
    let (tokens, failure) = tokenize(text);
    let mut cursor = Cursor::new(text);
    let mut statements = Vec::new();
    let mut begun: Option<(usize, usize)> = None;
    let statement = |(start, line), end| Statement {
        script: text,
        start,
        end,
        line,
    };
    for TokenWithSpan { token, span } in &tokens {
        if matches!(token, Token::Whitespace(_)) {
            continue;
        }
        let at = cursor.advance_to(span.start);
        // Hints in comments are tokens, too, all with the place of their comment.
        if token == &Token::SemiColon && text[at..].starts_with(';') {
            statements.extend(begun.take().map(|begun| statement(begun, at)));
        } else if begun.is_none() {
            begun = Some((at, cursor.line as usize));
        }
    }
    let is_open = failure.as_ref().is_some_and(is_unterminated);
    if failure.is_some() && begun.is_none() {
        begun = cursor.next_word();
    }
    let is_complete = begun.is_none() && !is_open;
    statements.extend(begun.map(|begun| statement(begun, text.len())));
    let is_complete = is_complete || (failure.is_some() && !is_open && ends_with_semicolon(text));
    Script {
        statements,
        is_complete,
    }
}

/// The tokens up to the end of the text or to what cannot be one, and why not.
pub(super) fn tokenize(text: &str) -> (Vec<TokenWithSpan>, Option<TokenizerError>) {
    let mut tokens = Vec::new();
    let outcome =
        Tokenizer::new(&GenericDialect {}, text).tokenize_with_location_into_buf(&mut tokens);
    (tokens, outcome.err())
}

/// Whether more text may mend it.
pub(super) fn is_unterminated(error: &TokenizerError) -> bool {
    error.message.contains("nterminated") || error.message.contains("EOF")
}

fn ends_with_semicolon(text: &str) -> bool {
    text.trim_end().ends_with(';')
}

/// Turns places of the tokenizer, which come in order, into bytes, in one pass over the text.
struct Cursor<'s> {
    text: &'s str,
    byte: usize,
    line: u64,
    column: u64,
}

impl<'s> Cursor<'s> {
    fn new(text: &'s str) -> Self {
        Self {
            text,
            byte: 0,
            line: 1,
            column: 1,
        }
    }

    /// The byte at `place`, which lies at or behind the last one.
    fn advance_to(&mut self, place: Location) -> usize {
        let mut chars = self.text[self.byte..].chars();
        while (self.line, self.column) < (place.line, place.column) {
            let Some(char) = chars.next() else { break };
            self.step(char);
        }
        self.byte
    }

    /// Byte and line of the first character from here on that is neither white space nor a
    /// semicolon.
    fn next_word(&mut self) -> Option<(usize, usize)> {
        for char in self.text[self.byte..].chars() {
            if !char.is_whitespace() && char != ';' {
                return Some((self.byte, self.line as usize));
            }
            self.step(char);
        }
        None
    }

    fn step(&mut self, char: char) {
        self.byte += char.len_utf8();
        if char == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str], is_complete: bool) {
        let script = split(text);
        let found: Vec<&str> = script.statements.iter().map(Statement::text).collect();
        assert_eq!(found, expected, "{text:?}");
        assert_eq!(script.is_complete, is_complete, "{text:?}");
    }

    #[test]
    fn semicolons_separate() {
        check("", &[], true);
        check(" \n\t", &[], true);
        check(";;", &[], true);
        check("SELECT 1", &["SELECT 1"], false);
        check("SELECT 1;", &["SELECT 1"], true);
        check("SELECT 1;\n\nSELECT 2 ;  ", &["SELECT 1", "SELECT 2"], true);
        check("SELECT 1; SELECT", &["SELECT 1", "SELECT"], false);
    }

    #[test]
    fn quotes_and_comments_hide_semicolons() {
        check(
            "SELECT 'a;b', 'it''s; ok';",
            &["SELECT 'a;b', 'it''s; ok'"],
            true,
        );
        check(
            "SELECT \"a;b\" FROM t; S",
            &["SELECT \"a;b\" FROM t", "S"],
            false,
        );
        check("SELECT $$a;'b$$; S;", &["SELECT $$a;'b$$", "S"], true);
        check(
            "SELECT $tag$a;$$;b$tag$;",
            &["SELECT $tag$a;$$;b$tag$"],
            true,
        );
        check("SELECT 1 -- no; end\n;", &["SELECT 1 -- no; end"], true);
        check("/* a; /* b; */ c; */ SELECT 1;", &["SELECT 1"], true);
        check("-- only; a comment", &[], true);
        check(
            "SELECT 'ä;ö'; SELECT 'ü'",
            &["SELECT 'ä;ö'", "SELECT 'ü'"],
            false,
        );
    }

    #[test]
    fn what_is_open_is_not_complete() {
        check("SELECT 1; SELECT 'a;", &["SELECT 1", "SELECT 'a;"], false);
        check("SELECT \"a;", &["SELECT \"a;"], false);
        check("SELECT $$a;", &["SELECT $$a;"], false);
        check("SELECT 1 /* a;", &["SELECT 1 /* a;"], false);
        check("SELECT 1;\n  'open", &["SELECT 1", "'open"], false);
    }

    #[test]
    fn a_statement_keeps_its_place() {
        let text = "SELECT 1;\n-- ä\n\tSELECT 2; SELECT 3";
        let script = split(text);
        let lines: Vec<usize> = script.statements.iter().map(|one| one.line).collect();
        assert_eq!(lines, [1, 3, 3]);
        assert_eq!(script.statements[0].placed(), "SELECT 1");
        assert_eq!(script.statements[1].placed(), "\n\n\tSELECT 2");
        assert_eq!(script.statements[2].placed(), "\n\n\t          SELECT 3");
    }

    #[test]
    fn line_ends_of_every_kind() {
        check(
            "SELECT 1;\r\nSELECT 2;\r\n",
            &["SELECT 1", "SELECT 2"],
            true,
        );
        assert_eq!(split("SELECT 1;\r\nSELECT 2").statements[1].line, 2);
    }

    #[test]
    fn splitting_loses_no_character_of_a_statement() {
        let parts = [
            "SELECT ';'",
            "SELECT \"x;\"",
            "VALUES ($$;$$)",
            "SELECT 'é' /* ; */ + 1",
        ];
        for separator in [";", " ;\n", ";;", "; -- ;\n"] {
            let text = parts.join(separator);
            check(&text, &parts, false);
        }
    }
}
