//! A browser without a window, driven as the WebDriver standard says: JSON over HTTP, which needs
//! no library.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{PATIENCE, http};

pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: TempDir,
    /// The driver may want to say more.
    _said: BufReader<ChildStdout>,
}

/// Nothing of it may reach for the network.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1400",
];

impl Browser {
    /// A new browser; `None` if there is none on this machine. With CI set there has to be one.
    pub(crate) fn open() -> Option<Self> {
        let mut driver = match Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
        {
            Ok(driver) => driver,
            Err(error) => {
                let lacks = "chromedriver (packages chromium and chromium-driver)";
                assert!(env::var_os("CI").is_none(), "{lacks} is missing: {error}");
                #[expect(clippy::print_stderr, reason = "a person should know what was not tested")]
                {
                    eprintln!("skipped: there is no {lacks}");
                }
                return None;
            }
        };
        let mut said = BufReader::new(driver.stdout.take().expect("a pipe"));
        let port = said.by_ref().lines().find_map(|line| {
            let line = line.expect("text");
            let port = line.strip_prefix("ChromeDriver was started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        let profile = tempfile::tempdir().expect("a directory");
        let mut flags: Vec<String> = FLAGS.iter().map(ToString::to_string).collect();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        let port = port.expect("the driver's port");
        let mut browser =
            Self { driver, port, session: String::new(), _profile: profile, _said: said };
        let wanted = json!({
            "goog:chromeOptions": { "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
            "timeouts": { "script": PATIENCE.as_millis() as u64 },
        });
        let made =
            browser.call("POST", "/session", &json!({ "capabilities": { "alwaysMatch": wanted } }));
        browser.session = format!("/session/{}", made["sessionId"].as_str().expect("an id"));
        Some(browser)
    }

    pub(crate) fn go(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Runs a script in the page.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression is true in the page; looks again whenever the page changes.
    pub(crate) fn until(&self, expression: &str) {
        let script = format!(
            "const done = arguments[0];
             const holds = () => Boolean({expression});
             if (holds()) return done(true);
             const watch = new MutationObserver(() => {{
                 if (!holds()) return;
                 watch.disconnect();
                 done(true);
             }});
             const all = {{ subtree: true, childList: true, characterData: true, attributes: true }};
             watch.observe(document, all);"
        );
        let body = json!({ "script": script, "args": [] });
        let answer = self.ask("POST", &format!("{}/execute/async", self.session), &body);
        if answer["value"] != true {
            let page = self.run("return document.body.innerText");
            let page = page.as_str().unwrap_or_default();
            panic!("never true: {expression}\n{}\nthe page:\n{page}", answer["value"]);
        }
    }

    /// Types into an element.
    pub(crate) fn press(&self, element: &str, keys: &str) {
        let found = self.post("/element", &json!({ "using": "css selector", "value": element }));
        let id = found.as_object().and_then(|found| found.values().next()).expect("an element");
        let id = id.as_str().expect("an id");
        self.post(&format!("/element/{id}/value"), &json!({ "text": keys }));
    }

    /// What the browser found wrong with the page so far.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "browser" }));
        let entries = log.as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| entry["message"].to_string()).collect()
    }

    /// Keeps a picture of the page where cargo keeps what tests make.
    pub(crate) fn screenshot(&self, name: &str) {
        let picture = self.call("GET", &format!("{}/screenshot", self.session), &Value::Null);
        let picture = BASE64_STANDARD.decode(picture.as_str().expect("base64")).expect("base64");
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 10_000, "{}", picture.len());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, picture).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("{}{path}", self.session), body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.ask(method, path, body);
        assert!(answer["value"]["error"].is_null(), "{method} {path}: {answer}");
        answer["value"].clone()
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        );
        let body = if method == "POST" { body.to_string() } else { String::new() };
        http::send(self.port, &head, &body).json()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends with its session; the driver alone would leave it behind.
        if !self.session.is_empty() {
            http::try_send(self.port, &format!("DELETE {} HTTP/1.1\r\n", self.session));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
