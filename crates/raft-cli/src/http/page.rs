//! The live page: plain files, part of the program, so that it works without a network.

use axum::Router;
use axum::http::header;
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Where each file is, what it is, and its text.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("page/index.html")),
    ("/page.css", CSS, include_str!("page/page.css")),
    ("/figures.css", CSS, include_str!("page/figures.css")),
    ("/parts.css", CSS, include_str!("page/parts.css")),
    ("/icon.svg", SVG, include_str!("page/icon.svg")),
    ("/main.js", SCRIPT, include_str!("page/main.js")),
    ("/append.js", SCRIPT, include_str!("page/append.js")),
    ("/dom.js", SCRIPT, include_str!("page/dom.js")),
    ("/events.js", SCRIPT, include_str!("page/events.js")),
    ("/logs.js", SCRIPT, include_str!("page/logs.js")),
    ("/members.js", SCRIPT, include_str!("page/members.js")),
    ("/plot.js", SCRIPT, include_str!("page/plot.js")),
    ("/ring.js", SCRIPT, include_str!("page/ring.js")),
    ("/source.js", SCRIPT, include_str!("page/source.js")),
    ("/state.js", SCRIPT, include_str!("page/state.js")),
];

/// The routes of the page's files.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    FILES.iter().fold(router, |router, &(path, kind, text)| {
        router.route(path, get(move || async move { ([(header::CONTENT_TYPE, kind)], text) }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        for (path, _, text) in FILES {
            let foreign = ["https://", "http://", "//cdn", "@import"];
            let named = |line: &&str| {
                foreign.iter().any(|mark| line.contains(mark)) && !line.contains("www.w3.org")
            };
            assert_eq!(text.lines().find(named), None, "{path}");
        }
    }

    #[test]
    fn every_file_that_a_file_names_is_there() {
        for (path, _, text) in FILES {
            for quoted in text.split(['"', '\'']) {
                let file = quoted.strip_prefix("./").map(|name| format!("/{name}"));
                let file = file.unwrap_or_else(|| quoted.to_owned());
                let named =
                    file.starts_with('/') && (file.ends_with(".js") || file.ends_with(".css"));
                let known = FILES.iter().any(|(known, ..)| *known == file);
                assert!(!named || known, "{path} names {file}");
            }
        }
    }

    #[test]
    fn files_are_short() {
        for (path, _, text) in FILES {
            assert!(text.lines().count() <= 500, "{path}");
        }
    }
}
