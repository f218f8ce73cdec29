//! What the check reads from a page: where its links lead, and which anchors its headings have.

use std::collections::BTreeSet;

use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd};

/// A page of Markdown.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) links: Vec<Link>,
    /// The anchors by which GitHub, and mdBook too, reach its headings.
    pub(super) anchors: BTreeSet<String>,
}

/// A link or an image.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) line: usize,
    /// As it is written.
    pub(super) target: String,
}

impl Page {
    /// Reads a page. Code is not looked into: Markdown has no links there.
    pub(super) fn read(text: &str) -> Page {
        let mut page = Page::default();
        let mut heading = None::<String>;
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => page.add_anchor(&heading.take().unwrap_or_default()),
                Event::Text(part) | Event::Code(part) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&part);
                    }
                }
                Event::Start(Tag::Link { link_type: LinkType::Email, .. }) => {}
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    let line = 1 + text[..range.start].matches('\n').count();
                    page.links.push(Link { line, target: dest_url.into_string() });
                }
                _ => {}
            }
        }
        page
    }

    /// The second heading of a text gets `-1`, the third `-2`.
    fn add_anchor(&mut self, heading: &str) {
        let anchor = anchor(heading);
        let numbered = (1..).map(|number| format!("{anchor}-{number}"));
        let free = std::iter::once(anchor.clone()).chain(numbered).find(|it| !self.anchors.contains(it));
        self.anchors.extend(free);
    }
}

/// GitHub's rule: lower case, hyphens for spaces, and of all other signs only letters, digits, `-` and `_`.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.trim().to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_have_the_anchors_that_github_gives_them() {
        let text =
            "# What works, and what does not\n## `[agents.TYPE.dev]`\n## A [link](x.md) — 2.0\n## Füße\n";
        let page = Page::read(text);
        let expected = ["a-link--20", "agentstypedev", "füße", "what-works-and-what-does-not"];
        assert_eq!(page.anchors, expected.map(str::to_owned).into());
    }

    #[test]
    fn equal_headings_are_numbered() {
        let page = Page::read("# Run\n# Run\n# Run\n");
        assert_eq!(page.anchors, ["run", "run-1", "run-2"].map(str::to_owned).into());
    }

    #[test]
    fn links_are_found_with_their_lines_but_not_in_code() {
        let text = "[a](a.md)\n`[b](b.md)`\n\n```toml\n[c](c.md)\n```\n\n| x |\n|---|\n| ![d](d.svg) |\n\n[e]\n\n[e]: e.md#f\n<someone@example.org>\n";
        let links = Page::read(text).links.into_iter().map(|link| (link.line, link.target));
        let expected = [(1, "a.md"), (10, "d.svg"), (12, "e.md#f")];
        assert_eq!(links.collect::<Vec<_>>(), expected.map(|(line, target)| (line, target.to_owned())));
    }
}
