//! The text of an HTML or XML page.

/// Elements whose text is not shown to readers.
const SILENT: [&str; 3] = ["script", "style", "head"];

/// The text between the tags; each tag separates words.
pub(super) fn text(page: &str) -> String {
    let mut out = String::new();
    let mut rest = page;
    while let Some(at) = memchr::memchr(b'<', rest.as_bytes()) {
        push_text(&rest[..at], &mut out);
        out.push(' ');
        rest = &rest[at + 1..];
        let (silent, comment) = (silent(rest), rest.starts_with("!--"));
        let end = if comment { rest.find("-->").map(|at| at + 2) } else { rest.find('>') };
        rest = end.map_or("", |end| &rest[end + 1..]);
        if let Some(name) = silent {
            rest = behind(rest, name);
        }
    }
    push_text(rest, &mut out);
    out
}

/// The name of an invisible element, if one begins here.
fn silent(tag: &str) -> Option<&'static str> {
    SILENT.into_iter().find(|name| {
        let begins = tag.get(..name.len()).is_some_and(|it| it.eq_ignore_ascii_case(name));
        begins && tag.as_bytes().get(name.len()).is_none_or(|next| !next.is_ascii_alphanumeric())
    })
}

/// The text after the end tag; all of the text if there is none.
fn behind<'a>(rest: &'a str, name: &str) -> &'a str {
    let mut from = 0;
    while let Some(at) = memchr::memmem::find(&rest.as_bytes()[from..], b"</") {
        let tag = from + at + 2;
        if rest.get(tag..tag + name.len()).is_some_and(|it| it.eq_ignore_ascii_case(name)) {
            let end = rest[tag..].find('>').map_or(rest.len(), |end| tag + end + 1);
            return &rest[end..];
        }
        from = tag;
    }
    rest
}

fn push_text(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'&', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let entities =
            [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>'), ("&quot;", '"'), ("&#39;", '\'')];
        match entities.iter().find(|(entity, _)| rest.starts_with(entity)) {
            Some((entity, c)) => {
                out.push(*c);
                rest = &rest[entity.len()..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn only_what_a_reader_sees_is_left() {
        for (page, expected) in [
            ("<html>\n oops</html>", "oops"),
            (
                "<html><head><title>x</title></head><body><h1>502 Bad Gateway</h1><hr>nginx",
                "502 Bad Gateway nginx",
            ),
            ("<style>a{}</style><p>a &amp; b &lt;c&gt; &nbsp;", "a & b <c> &nbsp;"),
            ("<!-- <p>no</p> --><p>yes", "yes"),
            ("<Error><Code>AccessDenied</Code><Message>no</Message></Error>", "AccessDenied no"),
            ("<script>never ended", "never ended"),
            ("<", ""),
        ] {
            let words: Vec<_> = text(page).split_whitespace().map(str::to_owned).collect();
            assert_eq!(words.join(" "), expected, "{page}");
        }
    }
}
