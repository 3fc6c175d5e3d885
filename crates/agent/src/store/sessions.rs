//! Sessions: what was said and done, entry by entry.

use rusqlite::{OptionalExtension as _, params};

use super::{Store, StoreError, now};
use crate::protocol::Entry;

/// Longest title of a session in characters.
pub(crate) const LONGEST_TITLE: usize = 60;

/// Most sessions that are listed.
pub(crate) const MOST_LISTED: u64 = 200;

/// What is known of a session without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionHead {
    /// Its name.
    pub id: String,
    /// The beginning of its first prompt.
    pub title: String,
    /// When something last happened in it, seconds since 1970.
    pub updated: i64,
    /// How many entries it has.
    pub entries: u64,
}

/// A session, as far as the model is told of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Session {
    /// Its name.
    pub id: String,
    /// How many entries it has in all.
    pub count: u64,
    /// How many of these the summary stands for.
    pub replaced: u64,
    /// The latest summary, if there is one.
    pub summary: Option<String>,
    /// What came after the entries that the summary stands for, oldest first, without summaries, each with its number
    /// in the session, from 1.
    pub recent: Vec<(u64, Entry)>,
}

impl Store {
    /// What is known of a session.
    pub(crate) fn head(&self, id: &str) -> Result<Option<SessionHead>, StoreError> {
        let sql = "SELECT id, title, updated, entries FROM sessions WHERE id = ?1";
        Ok(self.db.prepare_cached(sql)?.query_row([id], head).optional()?)
    }

    /// The latest [`MOST_LISTED`] sessions, latest first.
    pub(crate) fn heads(&self) -> Result<Vec<SessionHead>, StoreError> {
        let sql = "SELECT id, title, updated, entries FROM sessions ORDER BY updated DESC, id LIMIT ?1";
        Ok(self.db.prepare_cached(sql)?.query_map([MOST_LISTED], head)?.collect::<Result<_, _>>()?)
    }

    /// Begins a session whose first prompt is `prompt`; gives its title.
    pub(crate) fn begin(&self, id: &str, prompt: &str) -> Result<String, StoreError> {
        let title = title(prompt);
        let sql = "INSERT INTO sessions (id, title, updated, entries, replaced, todo) VALUES (?1, ?2, ?3, 0, 0, '')";
        self.db.prepare_cached(sql)?.execute(params![id, title, now()])?;
        Ok(title)
    }

    /// Reads a session that exists.
    pub(crate) fn session(&self, id: &str) -> Result<Session, StoreError> {
        let sql = "SELECT entries, replaced FROM sessions WHERE id = ?1";
        let (count, replaced) = self.db.prepare_cached(sql)?.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut session = Session { id: id.to_owned(), count, replaced, summary: None, recent: Vec::new() };
        let mut after =
            self.db.prepare_cached("SELECT seq, body FROM entries WHERE session = ?1 AND seq > ?2 ORDER BY seq")?;
        let mut rows = after.query(params![id, replaced])?;
        while let Some(row) = rows.next()? {
            match entry(id, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)? {
                Entry::Summary { text, .. } => session.summary = Some(text),
                entry @ (Entry::Prompt { .. } | Entry::Note { .. } | Entry::Answer { .. } | Entry::Result { .. }) => {
                    session.recent.push((row.get(0)?, entry));
                }
            }
        }
        Ok(session)
    }

    /// Adds an entry: to the database, and when it is on disk to the session.
    pub(crate) fn append(&self, session: &mut Session, entry: Entry) -> Result<(), StoreError> {
        let body =
            serde_json::to_string(&entry).map_err(|cause| StoreError::Entry { session: session.id.clone(), cause })?;
        let seq = session.count + 1;
        let replaced = match &entry {
            Entry::Summary { replaces, .. } => *replaces,
            Entry::Prompt { .. } | Entry::Note { .. } | Entry::Answer { .. } | Entry::Result { .. } => session.replaced,
        };
        let step = self.db.unchecked_transaction()?;
        step.prepare_cached("INSERT INTO entries (session, seq, at, body) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![session.id, seq, now(), body])?;
        step.prepare_cached("UPDATE sessions SET updated = ?2, entries = ?3, replaced = ?4 WHERE id = ?1")?
            .execute(params![session.id, now(), seq, replaced])?;
        step.commit()?;
        session.count = seq;
        session.replaced = replaced;
        match entry {
            Entry::Summary { text, replaces } => {
                session.summary = Some(text);
                session.recent.retain(|(seq, _)| *seq > replaces);
            }
            entry => session.recent.push((seq, entry)),
        }
        Ok(())
    }

    /// Takes an entry out of a session that no summary stands for.
    pub(crate) fn withdraw(&self, session: &mut Session, seq: u64) -> Result<(), StoreError> {
        let step = self.db.unchecked_transaction()?;
        step.prepare_cached("DELETE FROM entries WHERE session = ?1 AND seq = ?2")?
            .execute(params![session.id, seq])?;
        let sql = "SELECT coalesce(max(seq), 0) FROM entries WHERE session = ?1";
        let count = step.prepare_cached(sql)?.query_row([&session.id], |row| row.get(0))?;
        step.prepare_cached("UPDATE sessions SET entries = ?2 WHERE id = ?1")?.execute(params![session.id, count])?;
        step.commit()?;
        session.count = count;
        session.recent.retain(|(number, _)| *number != seq);
        Ok(())
    }

    /// The first entry of a session behind number `after`, with its number and its time.
    pub(crate) fn entry_after(&self, id: &str, after: u64) -> Result<Option<(u64, i64, Entry)>, StoreError> {
        let sql = "SELECT seq, at, body FROM entries WHERE session = ?1 AND seq > ?2 ORDER BY seq LIMIT 1";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?));
        let found = self.db.prepare_cached(sql)?.query_row(params![id, after], row).optional()?;
        found.map(|(seq, at, body)| Ok((seq, at, entry(id, &body)?))).transpose()
    }

    /// The to-do list of a session; empty where there is none.
    pub(crate) fn todo(&self, id: &str) -> Result<String, StoreError> {
        let sql = "SELECT todo FROM sessions WHERE id = ?1";
        Ok(self.db.prepare_cached(sql)?.query_row([id], |row| row.get(0))?)
    }

    /// Replaces the to-do list of a session.
    pub(crate) fn set_todo(&self, id: &str, list: &str) -> Result<(), StoreError> {
        self.db.prepare_cached("UPDATE sessions SET todo = ?2 WHERE id = ?1")?.execute([id, list])?;
        Ok(())
    }
}

fn head(row: &rusqlite::Row<'_>) -> rusqlite::Result<SessionHead> {
    Ok(SessionHead { id: row.get(0)?, title: row.get(1)?, updated: row.get(2)?, entries: row.get(3)? })
}

fn entry(session: &str, body: &str) -> Result<Entry, StoreError> {
    serde_json::from_str(body).map_err(|cause| StoreError::Entry { session: session.to_owned(), cause })
}

/// The first words of a prompt on one line.
fn title(prompt: &str) -> String {
    let line = prompt.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_TITLE) {
        None => line,
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or(&line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(text: &str) -> Entry {
        Entry::Note { text: text.into() }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        (directory, store)
    }

    #[test]
    fn entries_are_there_after_the_database_was_opened_again() {
        let (directory, store) = store();
        store.begin("s", "do it").unwrap();
        let mut session = store.session("s").unwrap();
        store.append(&mut session, note("one")).unwrap();
        store.append(&mut session, note("two")).unwrap();
        drop(store);
        let store = Store::open(directory.path()).unwrap();
        assert_eq!(store.session("s").unwrap(), session);
        assert_eq!(session.recent, [(1, note("one")), (2, note("two"))]);
    }

    #[test]
    fn a_summary_stands_for_what_it_replaces_and_the_originals_stay() {
        let (_directory, store) = store();
        store.begin("s", "p").unwrap();
        let mut session = store.session("s").unwrap();
        for text in ["one", "two", "three"] {
            store.append(&mut session, note(text)).unwrap();
        }
        store.append(&mut session, Entry::Summary { text: "sum".into(), replaces: 2 }).unwrap();
        store.append(&mut session, note("four")).unwrap();
        store.append(&mut session, Entry::Summary { text: "sum 2".into(), replaces: 3 }).unwrap();
        assert_eq!(session.summary.as_deref(), Some("sum 2"));
        assert_eq!(session.recent, [(5, note("four"))]);
        assert_eq!(store.session("s").unwrap(), session);
        assert_eq!(store.entry_after("s", 0).unwrap().map(|(seq, _, entry)| (seq, entry)), Some((1, note("one"))));
        assert_eq!(store.entry_after("s", 4).unwrap().map(|(seq, _, entry)| (seq, entry)), Some((5, note("four"))));
        assert_eq!(store.entry_after("s", 6).unwrap(), None);
    }

    #[test]
    fn an_entry_that_is_taken_back_leaves_no_trace_and_its_number_is_not_missed() {
        let (_directory, store) = store();
        store.begin("s", "p").unwrap();
        let mut session = store.session("s").unwrap();
        for text in ["one", "two"] {
            store.append(&mut session, note(text)).unwrap();
        }
        store.withdraw(&mut session, 2).unwrap();
        assert_eq!((session.count, &session), (1, &store.session("s").unwrap()));
        store.append(&mut session, note("three")).unwrap();
        store.append(&mut session, Entry::Summary { text: "sum".into(), replaces: 1 }).unwrap();
        store.withdraw(&mut session, 2).unwrap();
        store.append(&mut session, note("four")).unwrap();
        assert_eq!(session.recent, [(4, note("four"))]);
        assert_eq!(store.session("s").unwrap(), session);
    }

    #[test]
    fn sessions_are_listed_with_the_beginning_of_their_prompt() {
        let (_directory, store) = store();
        assert_eq!(store.begin("s", "first\n line  of it").unwrap(), "first line of it");
        assert_eq!(store.begin("t", &"é".repeat(100)).unwrap(), format!("{}…", "é".repeat(LONGEST_TITLE)));
        let heads = store.heads().unwrap();
        assert_eq!(heads.len(), 2);
        assert_eq!(store.head("s").unwrap().unwrap().title, "first line of it");
        assert_eq!(store.head("u").unwrap(), None);
    }

    #[test]
    fn a_list_of_sessions_has_an_end() {
        let (_directory, store) = store();
        for number in 0..=MOST_LISTED {
            store.begin(&number.to_string(), "p").unwrap();
        }
        assert_eq!(store.heads().unwrap().len() as u64, MOST_LISTED);
    }
}
