//! Memories: short texts that outlive a session and are found by their words.
//!
//! The index gets Chinese, Japanese and Korean characters one by one, as these languages put no spaces between words;
//! a run of them in a query is looked for as a phrase.

use rusqlite::{OptionalExtension as _, params};

use super::{Store, StoreError, now};

/// Most memories of an agent.
pub(crate) const MAX_MEMORIES: u64 = 10_000;

/// Most words of a query that are looked for.
pub(crate) const MOST_QUERY_WORDS: usize = 32;

/// A memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Its number.
    pub id: i64,
    /// When it was saved, seconds since 1970.
    pub at: i64,
    /// The text.
    pub text: String,
}

impl Store {
    /// Saves a memory and gives its number; `None` where there are [`MAX_MEMORIES`] already.
    pub(crate) fn remember(&self, text: &str) -> Result<Option<i64>, StoreError> {
        let step = self.db.unchecked_transaction()?;
        let count: u64 = step.query_row("SELECT count(*) FROM memories", [], |row| row.get(0))?;
        if count >= MAX_MEMORIES {
            return Ok(None);
        }
        step.execute("INSERT INTO memories (at, text) VALUES (?1, ?2)", params![now(), text])?;
        let id = step.last_insert_rowid();
        step.execute("INSERT INTO memory_words (rowid, words) VALUES (?1, ?2)", params![id, words(text)])?;
        step.commit()?;
        Ok(Some(id))
    }

    /// The memories that fit a query best, at most `most`: any word counts, rare ones more. An empty query gives the
    /// latest.
    pub(crate) fn recall(&self, query: &str, most: u64) -> Result<Vec<Memory>, StoreError> {
        let (sql, query) = match expression(query) {
            None => ("SELECT id, at, text FROM memories WHERE ?1 = '' ORDER BY id DESC LIMIT ?2", String::new()),
            Some(expression) => (
                "SELECT id, at, text FROM memory_words JOIN memories ON id = memory_words.rowid
                 WHERE memory_words MATCH ?1 ORDER BY rank, id DESC LIMIT ?2",
                expression,
            ),
        };
        let memory = |row: &rusqlite::Row<'_>| Ok(Memory { id: row.get(0)?, at: row.get(1)?, text: row.get(2)? });
        Ok(self.db.prepare_cached(sql)?.query_map(params![query, most], memory)?.collect::<Result<_, _>>()?)
    }

    /// Deletes a memory and gives its text; `None` where there is none of this number.
    pub(crate) fn forget(&self, id: i64) -> Result<Option<String>, StoreError> {
        let step = self.db.unchecked_transaction()?;
        let text =
            step.query_row("DELETE FROM memories WHERE id = ?1 RETURNING text", [id], |row| row.get(0)).optional()?;
        step.execute("DELETE FROM memory_words WHERE rowid = ?1", [id])?;
        step.commit()?;
        Ok(text)
    }
}

/// A text for the index: characters of languages without spaces stand alone.
fn words(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if unspaced(c) {
            out.extend([' ', c, ' ']);
        } else {
            out.push(c);
        }
    }
    out
}

/// Han, kana, bopomofo and hangul.
fn unspaced(c: char) -> bool {
    matches!(u32::from(c), 0x3040..=0x312F | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xAC00..=0xD7AF | 0xF900..=0xFAFF | 0x20000..=0x323AF)
}

/// An expression of FTS5 that matches any word of `query`; `None` where it has no word. Every word is quoted, so nothing
/// in it is an operator.
fn expression(query: &str) -> Option<String> {
    let mut terms = Vec::new();
    for word in query.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        // A run of Han characters within a word is a phrase of its own.
        let mut rest = word;
        while let Some(first) = rest.chars().next() {
            let kind = unspaced(first);
            let end = rest.find(|c| unspaced(c) != kind).unwrap_or(rest.len());
            let (run, tail) = rest.split_at(end);
            terms.push(format!("\"{}\"", words(run).trim()));
            rest = tail;
        }
    }
    terms.truncate(MOST_QUERY_WORDS);
    (!terms.is_empty()).then(|| terms.join(" OR "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        for text in
            ["The report is due on Friday", "Ms Meier approves credit limits", "客户的信用额度是五百万", "Größe: XL"]
        {
            store.remember(text).unwrap().unwrap();
        }
        (directory, store)
    }

    fn found(store: &Store, query: &str) -> Vec<i64> {
        store.recall(query, 10).unwrap().into_iter().map(|memory| memory.id).collect()
    }

    #[test]
    fn words_are_found_in_any_case_and_form() {
        let (_directory, store) = store();
        assert_eq!(found(&store, "REPORTS"), [1]);
        assert_eq!(found(&store, "limit approval GROßE"), [2, 4]);
        assert!(found(&store, "nothing of this").is_empty());
    }

    #[test]
    fn chinese_words_are_found_inside_a_sentence() {
        let (_directory, store) = store();
        assert_eq!(found(&store, "信用"), [3]);
        let mut both = found(&store, "额度 Friday");
        both.sort_unstable();
        assert_eq!(both, [1, 3]);
        assert!(found(&store, "用信").is_empty());
    }

    #[test]
    fn operators_and_quotes_in_a_query_are_only_text() {
        let (_directory, store) = store();
        for query in
            ["\"", "a\" OR rowid:1", "NEAR(", "* ^ -", "words:credit", "credit AND", "'; DROP TABLE memories; --"]
        {
            store.recall(query, 10).unwrap();
        }
        assert_eq!(found(&store, "words:credit"), [2]);
        assert_eq!(store.recall("", 2).unwrap().iter().map(|m| m.id).collect::<Vec<_>>(), [4, 3]);
    }

    #[test]
    fn what_is_forgotten_is_not_found() {
        let (_directory, store) = store();
        assert_eq!(store.forget(1).unwrap().as_deref(), Some("The report is due on Friday"));
        assert_eq!(store.forget(1).unwrap(), None);
        assert!(found(&store, "report").is_empty());
        assert_eq!(store.remember("new").unwrap(), Some(5));
    }

    #[test]
    fn memories_have_an_end() {
        let (_directory, store) = store();
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                    INSERT INTO memories (at, text) SELECT 0, 'x' FROM n";
        store.db.execute(fill, [MAX_MEMORIES - 4]).unwrap();
        assert_eq!(store.remember("one too many").unwrap(), None);
    }

    #[test]
    fn a_query_is_cut_after_its_first_words() {
        let many = "w ".repeat(MOST_QUERY_WORDS * 2);
        assert_eq!(expression(&many).unwrap().matches("\"w\"").count(), MOST_QUERY_WORDS);
    }
}
