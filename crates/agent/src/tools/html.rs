//! The text of an HTML page: what stands between the tags, without scripts and styles, with the targets of links.
//!
//! This is no parser of HTML; it never fails and takes time linear in the length of the page.

/// Elements whose content is not text.
const HIDDEN: &[&str] = &["script", "style", "noscript", "template", "svg", "iframe"];

/// Elements that begin and end lines.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "br",
    "caption",
    "dd",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "title",
    "tr",
    "ul",
];

/// Longest entity that is looked for, such as `&hellip;`, in bytes.
const LONGEST_ENTITY: usize = 12;

/// The text of a page.
pub(super) fn text(page: &str) -> String {
    let mut out = Lines::default();
    let mut rest = page;
    // The target of the link that is being read.
    let mut link: Option<String> = None;
    while let Some(at) = rest.find('<') {
        let (before, tagged) = rest.split_at(at);
        out.text(before);
        if let Some(comment) = tagged.strip_prefix("<!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        if !tagged
            .get(1..)
            .unwrap_or_default()
            .starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'))
        {
            out.text("<");
            rest = tagged.get(1..).unwrap_or_default();
            continue;
        }
        let (tag, after) = split_tag(tagged);
        rest = after;
        let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
        let (name, closes) = (name.to_ascii_lowercase(), tag.starts_with('/'));
        if !closes && name == "head" {
            // The title is worth reading, and nothing else there.
            let (head, behind) = until_close(rest, "head");
            if let Some((_, title)) = head.split_once("<title>") {
                out.text(title.split('<').next().unwrap_or_default());
                out.line();
            }
            rest = behind;
        } else if !closes && HIDDEN.contains(&name.as_str()) && !tag.ends_with('/') {
            rest = until_close(rest, &name).1;
        } else if BLOCKS.contains(&name.as_str()) {
            out.line();
            if name == "li" && !closes {
                out.text("- ");
            }
        } else if name == "td" || name == "th" {
            out.text(" ");
        } else if name == "a" {
            if let Some(target) = link.take() {
                out.text(&format!(" ({target})"));
            }
            if !closes {
                link = attribute(tag, "href")
                    .filter(|target| !target.starts_with(['#']) && !target.starts_with("javascript:"));
            }
        }
    }
    out.text(rest);
    out.finish()
}

/// A tag without its brackets, and what follows it. `>` in a quoted attribute does not end it.
fn split_tag(tagged: &str) -> (&str, &str) {
    let mut quote = None;
    for (at, byte) in tagged.bytes().enumerate().skip(1) {
        match (quote, byte) {
            (None, b'>') => {
                return (tagged.get(1..at).unwrap_or_default(), tagged.get(at + 1..).unwrap_or_default());
            }
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    (tagged.get(1..).unwrap_or_default(), "")
}

/// What stands before `</name`, and what follows that tag. Without one, everything stands before it.
fn until_close<'a>(text: &'a str, name: &str) -> (&'a str, &'a str) {
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find("</")) {
        let (before, tagged) = text.split_at(from + at);
        let tag = tagged.get(2..2 + name.len());
        let ends =
            !tagged.get(2 + name.len()..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()));
        if ends && tag.is_some_and(|tag| tag.eq_ignore_ascii_case(name)) {
            return (before, split_tag(tagged).1);
        }
        from += at + 2;
    }
    (text, "")
}

/// The value of a tag's attribute, with entities decoded.
fn attribute(tag: &str, name: &str) -> Option<String> {
    // Upper and lower case of ASCII have the same length, so places in one are places in the other.
    let lower = tag.to_ascii_lowercase();
    let at = lower.find(&format!(" {name}="))? + name.len() + 2;
    let rest = tag.get(at..)?;
    let value = match rest.chars().next()? {
        quote @ ('"' | '\'') => rest.get(1..)?.split(quote).next()?,
        _ => rest.split(|c: char| c.is_whitespace()).next()?.trim_end_matches('/'),
    };
    Some(decoded(value.trim()))
}

/// With entities replaced by what they stand for, as far as they are common.
fn decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, entity) = rest.split_at(at);
        out.push_str(before);
        let end = entity.bytes().take(LONGEST_ENTITY).position(|byte| byte == b';');
        let known = end.and_then(|end| Some((character(entity.get(1..end)?)?, entity.get(end + 1..)?)));
        match known {
            Some((c, after)) => {
                out.push(c);
                rest = after;
            }
            None => {
                out.push('&');
                rest = entity.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

fn character(entity: &str) -> Option<char> {
    if let Some(number) = entity.strip_prefix('#') {
        let number = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(number).filter(|c| *c != '\0');
    }
    Some(match entity {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "bull" | "middot" => '·',
        "copy" => '©',
        "reg" => '®',
        "euro" => '€',
        "pound" => '£',
        "auml" => 'ä',
        "ouml" => 'ö',
        "uuml" => 'ü',
        "Auml" => 'Ä',
        "Ouml" => 'Ö',
        "Uuml" => 'Ü',
        "szlig" => 'ß',
        "eacute" => 'é',
        "egrave" => 'è',
        "agrave" => 'à',
        "ccedil" => 'ç',
        "laquo" => '«',
        "raquo" => '»',
        _ => return None,
    })
}

/// Text in lines, white space folded, no empty lines.
#[derive(Default)]
struct Lines {
    done: String,
    line: String,
    /// Whether a space goes before the next word.
    space: bool,
}

impl Lines {
    fn text(&mut self, text: &str) {
        for c in decoded(text).chars() {
            if c.is_whitespace() {
                self.space = true;
            } else {
                if self.space && !self.line.is_empty() {
                    self.line.push(' ');
                }
                self.space = false;
                self.line.push(c);
            }
        }
    }

    fn line(&mut self) {
        if !self.line.is_empty() {
            self.done.push_str(&self.line);
            self.done.push('\n');
            self.line.clear();
        }
        self.space = false;
    }

    fn finish(mut self) -> String {
        self.line();
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_becomes_its_text() {
        let page = "<!DOCTYPE html><html><head><meta charset=x><title>The  title</title><style>p{}</style></head><body>
            <!-- a <b>comment</b> --><script>if (a < b) { alert('<p>') }</script>
            <h1>Head &amp; line</h1><p>One<br>two <b>bold</b>,
            three &#8364;5 &#x20AC;6 &unknown; R&D</p><ul><li>first</li><li>second</li></ul>
            <table><tr><td>a</td><td>b</td></tr></table>
            <a class=x href='/there?a=1&amp;b=2'>a link</a> and <a href=\"#here\">none</a></body></html>";
        assert_eq!(
            text(page),
            "The title\nHead & line\nOne\ntwo bold, three €5 €6 &unknown; R&D\n- first\n- second\na b\n\
             a link (/there?a=1&b=2) and none\n"
        );
    }

    #[test]
    fn broken_pages_give_what_they_can() {
        assert_eq!(text("a < b <p>c"), "a < b\nc\n");
        assert_eq!(text("<p title=\"a>b\">c</p"), "c\n");
        assert_eq!(text("a<script>never closed"), "a\n");
        assert_eq!(text("a<!-- never closed"), "a\n");
        assert_eq!(text("<SCRIPT>x</ScRiPt >b"), "b\n");
        assert_eq!(text("<"), "<\n");
        assert_eq!(text("&#0;&#xFFFFFFFF;&;&"), "&#0;&#xFFFFFFFF;&;&\n");
        assert_eq!(text("中文<b>页面</b>"), "中文页面\n");
        assert_eq!(text("<a href='x'>a<a href='y'>b</a>"), "a (x)b (y)\n");
    }

    #[test]
    fn pages_made_to_be_slow_are_not() {
        for piece in ["<", "</", "<!--", "&", "<a href=\"", "<script>", "<p"] {
            text(&piece.repeat(200_000));
        }
    }
}
