//! Pages: comments, parts that are not shown, texts in attributes, and the text without its tags.

use memchr::memchr;
use memchr::memmem;

use crate::decode::Stretches;
use crate::view::{Span, View};

use super::style::{self, Sheet};
use super::tag::{self, Tag};

/// Elements that begin a new line.
const BLOCKS: [&str; 31] = [
    "p",
    "div",
    "br",
    "li",
    "ul",
    "ol",
    "tr",
    "td",
    "th",
    "table",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "section",
    "article",
    "header",
    "footer",
    "nav",
    "main",
    "aside",
    "blockquote",
    "pre",
    "hr",
    "form",
    "option",
    "title",
    "body",
    "dd",
];
/// Elements that are marked in a line; with [`BLOCKS`] and [`OTHERS`], what tells a page from a program.
const INLINE: [&str; 22] = [
    "a", "b", "i", "u", "s", "em", "strong", "span", "small", "big", "sub", "sup", "mark", "font", "code", "kbd",
    "del", "ins", "wbr", "abbr", "label", "q",
];
const OTHERS: [&str; 16] = [
    "html", "head", "script", "style", "meta", "link", "img", "input", "button", "svg", "template", "noscript",
    "iframe", "textarea", "select", "details",
];
/// Elements without an end.
const VOID: [&str; 14] =
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"];
/// Attributes that hold text which few people see.
const TEXTS: [&str; 11] = [
    "alt",
    "title",
    "content",
    "aria-label",
    "aria-description",
    "placeholder",
    "value",
    "summary",
    "label",
    "description",
    "srcdoc",
];
/// Shortest text in an attribute that is looked at, in bytes.
const SHORTEST: usize = 12;

/// What a page says that is not plain to see.
#[derive(Debug)]
pub(crate) struct Page {
    pub comments: Stretches,
    pub hidden: Stretches,
    pub attributes: Stretches,
    /// The text without its tags; nothing where there are none.
    pub text: Stretches,
}

/// Reads a page; `room` is how many bytes each part may have.
pub(crate) fn html(text: &str, room: usize) -> Page {
    let mut reader = Reader {
        text,
        page: Page {
            comments: Stretches::new(room),
            hidden: Stretches::new(room),
            attributes: Stretches::new(room),
            text: Stretches::new(room),
        },
        bare: View::default(),
        hidden: View::default(),
        under: None,
        sheet: Sheet::default(),
        tags: false,
        from: 0,
        endless: [false; 2],
    };
    reader.run();
    reader.page
}

struct Reader<'a> {
    text: &'a str,
    page: Page,
    bare: View,
    hidden: View,
    /// The element that is not shown, and how many of its name are open in it.
    under: Option<(&'a str, usize)>,
    sheet: Sheet<'a>,
    /// Whether there is a tag of HTML.
    tags: bool,
    from: usize,
    /// An element whose text is none was begun without an end; so is every later one.
    endless: [bool; 2],
}

impl<'a> Reader<'a> {
    fn run(&mut self) {
        let bytes = self.text.as_bytes();
        let mut at = 0;
        while let Some(next) = bytes.get(at..).and_then(|rest| memchr(b'<', rest)) {
            let start = at + next;
            at = match bytes.get(start + 1) {
                Some(b'!') if self.text.get(start..).is_some_and(|rest| rest.starts_with("<!--")) => {
                    self.comment(start)
                }
                Some(b'!' | b'?') => start + 2,
                _ => match tag::read(self.text, start) {
                    Ok(tag) => self.tag(start, &tag),
                    Err(next) => next,
                },
            };
        }
        self.flush(self.text.len());
        self.close();
        if self.tags {
            self.page.text.add(&self.bare);
        }
    }

    fn comment(&mut self, start: usize) -> usize {
        self.flush(start);
        let from = start + 4;
        let rest = self.text.get(from..).unwrap_or_default();
        let length = memmem::find(rest.as_bytes(), b"-->");
        let end = from + length.unwrap_or(rest.len());
        self.page.comments.add(&piece(self.text, from, end));
        self.tags = true;
        self.from = length.map_or(end, |_| end + 3);
        self.from
    }

    fn tag(&mut self, start: usize, tag: &Tag<'a>) -> usize {
        self.flush(start);
        self.from = tag.end;
        let block = tag.is_one_of(&BLOCKS);
        self.tags |= block || tag.is_one_of(&INLINE) || tag.is_one_of(&OTHERS);
        if block {
            self.line(start);
        }
        if tag.closes {
            if let Some((_, open)) = self.under.as_mut().filter(|(name, _)| tag.is(name)) {
                *open -= 1;
                if *open == 0 {
                    self.close();
                }
            }
            return tag.end;
        }
        for (name, value, at) in &tag.attributes {
            let holds = TEXTS.iter().any(|text| name.eq_ignore_ascii_case(text))
                || name.starts_with("data-") && value.contains(' ');
            if holds && value.len() >= SHORTEST && value.contains(|c: char| c == ' ' || !c.is_ascii()) {
                self.page.attributes.add(&piece(self.text, *at, at + value.len()));
            }
        }
        if tag.is_one_of(&["script", "style"]) {
            return self.raw(tag);
        }
        if tag.is_one_of(&VOID) {
            return tag.end;
        }
        if let Some((name, open)) = &mut self.under {
            *open += usize::from(tag.is(name));
        } else if self.is_hidden(tag) {
            self.under = Some((tag.name, 1));
        }
        tag.end
    }

    /// What is in an element whose text is none; its end is returned.
    fn raw(&mut self, tag: &Tag<'a>) -> usize {
        let mut end = tag.end;
        let [scripts, styles] = &mut self.endless;
        let endless = if tag.is("style") { styles } else { scripts };
        if *endless {
            return tag.end;
        }
        *endless = true;
        while let Some(next) = self.text.get(end..).and_then(|rest| memmem::find(rest.as_bytes(), b"</")) {
            let name = end + next + 2;
            if self.text.get(name..name + tag.name.len()).is_some_and(|name| tag.is(name)) {
                (end, *endless) = (name - 2, false);
                break;
            }
            end = name;
        }
        // Without an end it is no element, but something that looks like one.
        let Some(inside) = self.text.get(tag.end..end).filter(|_| !*endless) else { return tag.end };
        if tag.is("style") {
            self.sheet.add(inside);
        }
        self.from = end;
        end
    }

    fn is_hidden(&self, tag: &Tag<'_>) -> bool {
        tag.is_one_of(&["template", "noscript"])
            || tag.attributes.iter().any(|(name, value, _)| match *name {
                _ if name.eq_ignore_ascii_case("hidden") => true,
                _ if name.eq_ignore_ascii_case("style") => style::hides(value),
                _ if name.eq_ignore_ascii_case("class") => self.sheet.hides('.', value),
                _ if name.eq_ignore_ascii_case("id") => self.sheet.hides('#', value),
                _ => false,
            })
    }

    /// Takes over the text up to `at`.
    fn flush(&mut self, at: usize) {
        let Some(text) = self.text.get(self.from..at) else { return };
        if self.bare.text().len() <= self.page.text.left() {
            self.bare.copy(text, self.from);
        }
        if self.under.is_some() && self.hidden.text().len() <= self.page.hidden.left() {
            self.hidden.copy(text, self.from);
        }
        self.from = at;
    }

    fn line(&mut self, at: usize) {
        let place = Span { start: at, end: at };
        for view in [&mut self.bare, &mut self.hidden] {
            if !view.text().is_empty() && !view.text().ends_with('\n') {
                view.put("\n", place);
            }
        }
    }

    /// The hidden element ends.
    fn close(&mut self) {
        self.under = None;
        let hidden = std::mem::take(&mut self.hidden);
        if !hidden.text().trim().is_empty() {
            self.page.hidden.add(&hidden);
        }
    }
}

fn piece(text: &str, from: usize, end: usize) -> View {
    let mut view = View::default();
    view.copy(text.get(from..end).unwrap_or_default(), from);
    view
}
