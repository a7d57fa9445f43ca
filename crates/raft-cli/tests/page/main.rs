//! HTTP as its users have it: programs that ask a real server, and a person in front of the live
//! page in a real browser. The browser needs `chromium` and `chromedriver`.

mod browser;
mod cluster;
mod http;
#[path = "../e2e/support/ports.rs"]
mod ports;

use std::time::Duration;

use browser::Browser;
use cluster::Cluster;

/// How long anything may take that happens by itself. Reached only when it does not happen.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn programs_get_figures_and_health() {
    let mut cluster = Cluster::new();
    cluster.start(0);
    let first = cluster.page(0);
    // Its cluster needs all founders: it lives, and is of no use yet.
    assert_eq!(http::get(first, "/livez").status, 200);
    let early = http::get(first, "/readyz");
    assert_eq!(
        (early.status, early.body.starts_with("not ready: ")),
        (503, true),
        "{}",
        early.body
    );
    assert!(http::get(first, "/metrics").body.contains("\nraft_has_leader 0\n"));
    assert_eq!(http::get(first, "/v1/status").json()["standing"], "new");

    (1..3).for_each(|place| cluster.start(place));
    (0..3).for_each(|place| cluster.wait_for_leader(place));
    let answer = http::append(first, "I like beer.");
    let answer = answer.json();
    let (index, term) = (answer["index"].as_u64(), answer["term"].as_u64());
    assert!(index > Some(0) && term > Some(0), "{answer}");
    for place in 0..3 {
        // Ready means: what is committed now, the message with it, is applied there.
        let ready = http::get(cluster.page(place), "/readyz");
        assert_eq!(ready.status, 200, "{}", ready.body);
        let status = http::get(cluster.page(place), "/v1/status").json();
        assert!(status["applied_index"].as_u64() >= index, "{status}");
        assert_eq!(status["v"], 1, "{status}");
        let figures = http::get(cluster.page(place), "/metrics").body;
        let applied = figures.lines().find_map(|line| line.strip_prefix("raft_applied_index "));
        assert!(applied.and_then(|value| value.parse().ok()) >= index, "{figures}");
    }
    let members = http::get(first, "/v1/members").json();
    assert_eq!(members["members"].as_array().map(Vec::len), Some(3), "{members}");
}

#[test]
fn strangers_cannot_write() {
    let mut cluster = Cluster::new();
    cluster.start(0);
    let page = cluster.page(0);
    let form = "POST /v1/log HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n";
    assert_eq!(http::send(page, form, "x").status, 415);
    let ours =
        "POST /v1/log HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n";
    let foreign = format!("{ours}Sec-Fetch-Site: cross-site\r\n");
    assert_eq!(http::send(page, &foreign, "x").status, 403);
    assert_eq!(http::send(page, ours, "").status, 400);
    let renamed = "GET / HTTP/1.1\r\nHost: attacker.example\r\n";
    assert_eq!(http::send(page, renamed, "").status, 403);
    let head = http::get(page, "/").head;
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    // Nobody leads: the refusal says that nothing was sent.
    let refused = http::append(page, "x");
    assert_eq!(refused.json()["error"]["outcome"], "nothing_sent", "{}", refused.body);
    assert_eq!(refused.status, 503);
}

#[test]
fn a_person_sees_an_election() {
    let Some(browser) = Browser::open() else { return };
    let mut cluster = Cluster::new();
    (0..3).for_each(|place| cluster.start(place));
    (0..3).for_each(|place| cluster.wait_for_leader(place));

    browser.go(&cluster.url(0));
    browser.until("document.querySelectorAll('#members tr[data-role=follower]').length === 2");
    let leader = cluster.place_of(&leader_on(&browser));
    // Somebody who will still be there.
    let own = (0..3).find(|place| *place != leader).expect("a follower");
    browser.go(&cluster.url(own));
    browser.until("document.querySelector('#link').dataset.state === 'live'");
    browser.until("document.querySelectorAll('#members tr[data-role=follower]').length === 2");
    let leader = cluster.place_of(&leader_on(&browser));
    assert_ne!(leader, own);

    append(&browser, "I like beer.");
    let forwarded = format!("forwarded to {}", cluster.address(leader));
    browser.until(&format!("{ANSWER}?.dataset.outcome === 'applied'"));
    browser.until(&format!("{ANSWER}.textContent.includes('{forwarded}')"));
    browser.until(
        "[...document.querySelectorAll('#logs .entry[data-state=applied] b')]
             .filter((entry) => entry.textContent === 'I like beer.').length === 3",
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());

    cluster.kill(leader);
    let gone =
        format!("#members tr[data-address=\"{}\"][data-role=silent]", cluster.address(leader));
    browser.until(&format!("document.querySelector('{gone}')"));
    browser.until("document.querySelector('#members tr[data-role=leader]')");
    let next = cluster.place_of(&leader_on(&browser));
    assert_ne!(next, leader);
    let said = format!("{} leads in term", cluster.address(next));
    browser.until(&format!("document.querySelector('#events').textContent.includes('{said}')"));
    browser.until("document.querySelector('#ring .node[data-role=silent]')");
    append(&browser, "I like wine.");
    browser.until(&format!("{ANSWER}.textContent.includes('term') && {ANSWERS} === 2"));
    browser.screenshot("an-election.png");

    // The page's own server goes, and comes back: the page says so, and heals.
    cluster.kill(own);
    browser.until("!document.querySelector('#banner').hidden");
    cluster.start(own);
    browser.until("document.querySelector('#banner').hidden");
    browser.until("document.querySelector('#members tr[data-role=leader]')");
}

const ANSWER: &str = "document.querySelector('#answers li')";
const ANSWERS: &str = "document.querySelectorAll('#answers li[data-outcome=applied]').length";

fn leader_on(browser: &Browser) -> String {
    let script = "return document.querySelector('#members tr[data-role=leader]').dataset.address";
    browser.run(script).as_str().expect("an address").to_owned()
}

/// As a person does it: with the keyboard.
fn append(browser: &Browser, message: &str) {
    browser.press("body", "/");
    browser.until("document.activeElement.id === 'message'");
    browser.run("document.activeElement.value = ''");
    // The second character is the Enter key.
    browser.press("#message", &format!("{message}\u{e007}"));
}
