//! YAML as a tree in which every node knows its place.
//!
//! Only the part of YAML 1.2 that a configuration needs: one document, mappings with text keys, lists, scalars.
//! Anchors, aliases, tags, merge keys and directives are refused, because they make a file mean something else than
//! what it shows, and because aliases let a small file unfold into a huge one.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

use crate::display::shown;
use crate::report::Mistakes;
use crate::source::{Hidden, Place, Source};

/// Deepest nesting of lists and mappings.
pub(crate) const MAX_DEPTH: usize = 32;
/// Most values in one file.
pub(crate) const MAX_NODES: usize = 65_536;

/// One value.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    /// Its last line, from 1.
    pub(crate) last: usize,
    pub(crate) kind: Kind,
}

impl Node {
    /// All of it, to be hidden.
    pub(crate) fn whole(&self) -> Hidden {
        let nested = matches!(self.kind, Kind::List(_) | Kind::Map(_));
        let width = if nested { usize::MAX } else { self.place.width };
        Hidden { place: Place { width, ..self.place }, last: self.last }
    }
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// Nothing, `~` or `null`, unquoted.
    Null,
    /// Unquoted text, whose meaning depends on what is expected.
    Plain(String),
    /// Text in quotes, or a block of text.
    Quoted(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, without duplicate keys.
    Map(Vec<Entry>),
    /// Something that is already reported.
    Rejected,
}

/// One key of a mapping and its value.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) value: Node,
}

/// Reads `text`. Returns nothing where the tree would not be whole; every reason is in `mistakes`.
pub(crate) fn read(text: &str, source: &Source<'_>, mistakes: &mut Mistakes<'_>) -> Option<Node> {
    if unprintable(source, mistakes) {
        return None;
    }
    let mut builder = Builder { source, mistakes, open: Vec::new(), root: None, nodes: 0, documents: 0 };
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(next) => next,
            Err(error) => {
                builder.syntax(&error);
                return None;
            }
        };
        builder.event(event, source.span(span), span.end.line())?;
    }
    let root = builder.root;
    if root.is_none() {
        let comments = source.lines().any(|line| line.trim_start().starts_with('#'));
        let what = if comments { "the file has nothing but comments" } else { "the file is empty" };
        mistakes.add(
            Place { line: 1, column: 1, width: 1 },
            what,
            "write at least `sandbox_mode: restricted`; `nanoclaw config schema` prints every key",
        );
    }
    root
}

/// Control characters end or hide text for some readers, and direction overrides show it in another order than it has.
fn unprintable(source: &Source<'_>, mistakes: &mut Mistakes<'_>) -> bool {
    let mut found = false;
    for (line, text) in source.lines().enumerate() {
        for (column, c) in text.chars().enumerate() {
            let refused = (c.is_control() && c != '\t')
                || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            if refused {
                found = true;
                mistakes.add(
                    Place { line: line + 1, column: column + 1, width: 1 },
                    format!("the character U+{:04X} cannot stand in this file", u32::from(c)),
                    format!("remove it, or write `\\u{:04x}` inside double quotes", u32::from(c)),
                );
            }
        }
    }
    found
}

/// A list or mapping that is not complete yet.
enum Open {
    List { place: Place, items: Vec<Node> },
    Map { place: Place, entries: Vec<Entry>, key: Option<(String, Place, bool)>, seen: HashMap<String, usize> },
}

struct Builder<'a, 't> {
    source: &'a Source<'a>,
    mistakes: &'a mut Mistakes<'t>,
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    documents: usize,
}

impl Builder<'_, '_> {
    /// Takes the next event; nothing means that reading must stop.
    fn event(&mut self, event: Event<'_>, place: Place, last: usize) -> Option<()> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_) => return self.document(place),
            Event::Alias(_) => {
                self.alias(place);
                self.complete(Node { place, last, kind: Kind::Rejected })?;
            }
            Event::Scalar(text, style, anchor, tag) => {
                let kind = if self.decorated(place, anchor, tag.is_some()) {
                    Kind::Rejected
                } else if style != ScalarStyle::Plain {
                    Kind::Quoted(text.into_owned())
                } else if matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL") {
                    Kind::Null
                } else {
                    Kind::Plain(text.into_owned())
                };
                self.complete(Node { place, last, kind })?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.decorated(place, anchor, tag.is_some());
                let place = Place { width: 1, ..place };
                self.push(Open::List { place, items: Vec::new() }, place)?;
            }
            Event::MappingStart(anchor, tag) => {
                self.decorated(place, anchor, tag.is_some());
                let place = Place { width: 1, ..place };
                let map = Open::Map { place, entries: Vec::new(), key: None, seen: HashMap::new() };
                self.push(map, place)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let node = match self.open.pop()? {
                    Open::List { place, items } => Node { place, last, kind: Kind::List(items) },
                    Open::Map { place, entries, .. } => Node { place, last, kind: Kind::Map(entries) },
                };
                self.complete(node)?;
            }
        }
        Some(())
    }

    fn document(&mut self, place: Place) -> Option<()> {
        self.documents += 1;
        if self.documents > 1 {
            self.mistakes.add(
                place,
                "a second document begins here",
                "keep one document in the file, and remove what follows",
            );
            return None;
        }
        let before = self.source.lines().take(place.line.saturating_sub(1)).enumerate();
        if let Some((n, text)) = before.into_iter().find(|(_, text)| text.starts_with('%')) {
            self.mistakes.add(
                Place { line: n + 1, column: 1, width: text.chars().count() },
                "YAML directives are not used in this file",
                "remove this line; the file is read as YAML 1.2",
            );
        }
        Some(())
    }

    fn push(&mut self, open: Open, place: Place) -> Option<()> {
        if self.open.len() == MAX_DEPTH {
            self.mistakes.add(
                place,
                format!("lists and mappings are nested more than {MAX_DEPTH} deep"),
                "remove brackets or indentation until it is flat; no key needs more than 7",
            );
            return None;
        }
        self.open.push(open);
        Some(())
    }

    /// Puts a complete node where it belongs.
    fn complete(&mut self, node: Node) -> Option<()> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            self.mistakes.add(
                node.place,
                format!("the file has more than {MAX_NODES} values"),
                "split the fleet into several files",
            );
            return None;
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, seen, .. }) => match key.take() {
                Some((text, place, true)) => entries.push(Entry { key: text, place, value: node }),
                Some((_, _, false)) => {}
                None => {
                    let place = node.place;
                    let text = check_key(node, seen, self.mistakes);
                    *key = Some((text.clone().unwrap_or_default(), place, text.is_some()));
                }
            },
        }
        Some(())
    }

    /// Refuses anchors and tags.
    fn decorated(&mut self, place: Place, anchor: usize, tag: bool) -> bool {
        if tag {
            self.mistakes.add(
                place,
                "YAML tags (`!`, `!!str`) are not used in this file",
                "remove the tag; put a text in quotes to keep it a text",
            );
        }
        if anchor > 0 {
            self.mistakes.add(
                place,
                "YAML anchors (`&`) are not used in this file",
                "remove the anchor; write shared values once at the top level, where every agent inherits them",
            );
        }
        tag || anchor > 0
    }

    fn alias(&mut self, place: Place) {
        self.mistakes.add(
            place,
            "YAML aliases (`*`) are not used in this file",
            "write the value out; put a text that begins with `*` in quotes",
        );
    }

    fn syntax(&mut self, error: &ScanError) {
        let place = self.source.mark(*error.marker());
        let info = error.info();
        let (message, help) = if info.contains("unknown anchor") {
            return self.alias(place);
        } else if info.contains("tab") && !info.contains("table") {
            ("a tab cannot stand here".to_owned(), "indent with spaces")
        } else if info.contains("valid YAML whitespace") {
            ("a space must follow here".to_owned(), "write `key: value` and `- value` with a space, not a tab")
        } else if info.contains("mapping values are not allowed") {
            (
                "a `:` cannot stand here".to_owned(),
                "put text that contains `: ` in quotes, and begin each key on a line of its own",
            )
        } else if info.contains("illegal placement of ':'") {
            ("a `:` cannot stand here".to_owned(), "close the bracket or brace that is open before it")
        } else if info.contains("did not find expected '-'") || info.contains("did not find expected key") {
            (
                "this line does not belong to the list or mapping before it".to_owned(),
                "indent the keys of one mapping alike, and begin each element of a list with `- `",
            )
        } else if info.contains("unexpected end of stream") {
            ("a text in quotes has no end".to_owned(), "close the quote")
        } else if info.contains("flow sequence") {
            ("a list in brackets has no end".to_owned(), "put `,` between its values and `]` at its end")
        } else if info.contains("flow mapping") {
            ("a mapping in braces has no end".to_owned(), "put `,` between its keys and `}` at its end")
        } else {
            (
                format!("this is not YAML: {}", shown(info)),
                "look at the indentation, the quotes and the brackets just before this place",
            )
        };
        self.mistakes.add(place, message, help);
    }
}

/// The text of a key, or nothing where it cannot be one.
fn check_key(node: Node, seen: &mut HashMap<String, usize>, mistakes: &mut Mistakes<'_>) -> Option<String> {
    let text = match node.kind {
        Kind::Plain(text) if text == "<<" => {
            mistakes.add(
                node.place,
                "YAML merge keys (`<<`) are not used in this file",
                "write the keys out; values at the top level are inherited by every agent",
            );
            return None;
        }
        Kind::Plain(text) | Kind::Quoted(text) => text,
        Kind::Rejected => return None,
        Kind::Null | Kind::List(_) | Kind::Map(_) => {
            mistakes.add(node.place, "a key must be a text", "write `key: value`");
            return None;
        }
    };
    if let Some(first) = seen.get(&text) {
        mistakes.add(
            node.place,
            format!("`{}` stands here for the second time", shown(&text)),
            format!("keep one of the two; the first is on line {first}"),
        );
        return None;
    }
    seen.insert(text.clone(), node.place.line);
    Some(text)
}
