//! The code of a page of the documentation, so that a test can run it.
//!
//! A fenced block with a language is code; a block of `text` right behind code is what that code
//! prints. Blocks of `console` show commands that only install something.
//! Invariant: nothing of a page is changed but the addresses, which are those of the server.

use std::path::Path;

/// One page.
#[derive(Clone, Debug)]
pub struct Page {
    name: String,
    blocks: Vec<Block>,
}

#[derive(Clone, Debug)]
struct Block {
    language: String,
    text: String,
}

impl Page {
    /// Reads the page `name` of `docs/clients`.
    ///
    /// # Panics
    /// Where there is no such page, or a block of it has no end.
    #[must_use]
    pub fn of_client(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/clients");
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::parse(name, &text)
    }

    fn parse(name: &str, text: &str) -> Self {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for line in text.lines() {
            match (line.strip_prefix("```"), open.as_mut()) {
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(language), None) => {
                    open = Some(Block {
                        language: language.to_owned(),
                        text: String::new(),
                    });
                }
                (None, Some(block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{name}: a block has no end");
        Self {
            name: name.to_owned(),
            blocks,
        }
    }

    /// With `new` in the place of `old` in every block.
    #[must_use]
    pub fn with(mut self, old: &str, new: &str) -> Self {
        for block in &mut self.blocks {
            block.text = block.text.replace(old, new);
        }
        self
    }

    /// All code of a language, one block after another.
    ///
    /// # Panics
    /// Where the page has none.
    #[must_use]
    pub fn code(&self, language: &str) -> String {
        let code: Vec<&str> = self.blocks_of(language).collect();
        assert!(!code.is_empty(), "{}: no {language}", self.name);
        code.join("\n")
    }

    /// Each block of a language.
    pub fn blocks_of<'a>(&'a self, language: &'a str) -> impl Iterator<Item = &'a str> {
        let of_language = move |block: &&Block| block.language == language;
        self.blocks
            .iter()
            .filter(of_language)
            .map(|block| block.text.as_str())
    }

    /// What the code of a language prints, by the blocks of `text` behind it.
    #[must_use]
    pub fn printed(&self, language: &str) -> String {
        let pairs = self.blocks.windows(2);
        pairs
            .filter(|pair| pair[0].language == language && pair[1].language == "text")
            .map(|pair| pair[1].text.as_str())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_what_it_prints() {
        let text = "# A\n```sh\npip install a\n```\n\n```python\nprint(1)\n```\n\n```text\n1\n```\n\
                    ```python\nx = 'here'\n```\n```text\nelsewhere\n```\n```sql\nSELECT 1\n```\n";
        let page = Page::parse("a.md", text).with("here", "there");
        assert_eq!(page.code("python"), "print(1)\n\nx = 'there'\n");
        assert_eq!(page.printed("python"), "1\nelsewthere\n");
        assert_eq!(page.blocks_of("sql").count(), 1);
    }

    #[test]
    #[should_panic(expected = "a.md: a block has no end")]
    fn a_block_ends() {
        let _ = Page::parse("a.md", "```sh\necho\n");
    }
}
