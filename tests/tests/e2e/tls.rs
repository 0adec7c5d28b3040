//! TLS and tokens through the binary: `serve` with both, clients with `--ca`, and what is shown of
//! secrets.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;
use vitalog_tests::{Serving, Vitalog};

use crate::Place;

/// Who gives certificates, and the files of one that it gave.
struct Files {
    ca: String,
    cert: String,
    key: String,
    /// The text of the key.
    secret: String,
}

fn files(place: &Place, name: &str) -> Files {
    let authority = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&authority).unwrap().pem();
    let issuer = Issuer::new(params, authority);
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let key = KeyPair::generate().unwrap();
    let given = CertificateParams::new(names).unwrap();
    let cert = given.signed_by(&key, &issuer).unwrap().pem();
    let secret = key.serialize_pem();
    Files {
        ca: place.write(&format!("{name}-ca.pem"), ca),
        cert: place.write(&format!("{name}-cert.pem"), cert),
        key: place.write(&format!("{name}-key.pem"), &secret),
        secret,
    }
}

/// A token with all rights, and the settings of a server with it and TLS.
fn guarded(place: &Place, files: &Files) -> (String, Vitalog) {
    let vitalog = place.vitalog();
    let made = vitalog.stdout_of(&["token", "new", "--name", "all", "--scope", "admin"]);
    let word = |name: &str| {
        let mut lines = made.lines();
        let found = lines.find_map(|line| line.strip_prefix(name));
        found
            .unwrap_or_else(|| panic!("{name} in {made}"))
            .trim()
            .to_owned()
    };
    let tokens = place.write("tokens", word("line"));
    let vitalog = vitalog
        .with_setting("VITALOG_AUTH__TOKENS_FILE", &tokens)
        .with_setting("VITALOG_TLS__CERT_FILE", &files.cert)
        .with_setting("VITALOG_TLS__KEY_FILE", &files.key);
    (word("token"), vitalog)
}

#[test]
fn others_may_reach_a_server_with_tokens_and_tls() {
    let place = Place::new();
    let files = files(&place, "server");
    let (token, vitalog) = guarded(&place, &files);
    let vitalog = vitalog.with_setting("VITALOG_LOG__FORMAT", "json");
    let open = ["serve", "--grpc", "0.0.0.0:0", "--http", "0.0.0.0:0"];
    let mut serving = Serving::start(vitalog.command(&open));
    let port = serving.address().port();
    let client = vitalog.clone().with_setting("VITALOG_TOKEN", &token);
    let url = format!("grpcs://127.0.0.1:{port}");
    let ask = ["sql", "--format", "jsonl", "-c", "SELECT 1 AS one", "--url"];
    let asked =
        |client: &Vitalog, url: &str, more: &[&str]| client.run(&[&ask[..], &[url], more].concat());
    let answer = asked(&client, &url, &["--ca", &files.ca]);
    assert_eq!(
        (answer.code, answer.stdout.as_str()),
        (0, "{\"one\":1}\n"),
        "{answer:?}"
    );
    let events = place.write_events("events.jsonl", 0..20);
    let import = ["import", &events, "--url", &url, "--ca", &files.ca];
    client.stdout_of(&import);

    let strange = self::files(&place, "other");
    for (url, more, words) in [
        // An authority of the same name with another key.
        (url.as_str(), vec!["--ca", &strange.ca], "BadSignature"),
        (&url, vec![], "error:"),
        (&url.replace("grpcs", "grpc"), vec![], "error:"),
        (
            &url.replace("grpcs", "grpc"),
            vec!["--ca", &files.ca],
            "grpcs://",
        ),
        (&url, vec!["--ca", "/no/such.pem"], "--ca: cannot read"),
    ] {
        let refused = asked(&client, url, &more);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.stderr.contains(words), "{words}: {refused:?}");
    }
    let stranger = client.with_setting("VITALOG_TOKEN", "vtl_of_nobody");
    let refused = asked(&stranger, &url, &["--ca", &files.ca]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let stderr = serving.stderr();
    let told = stderr
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .any(|line: Value| {
            line["target"] == "vitalog::call"
                && line["level"] == "INFO"
                && line["reason"] == "UNAUTHENTICATED"
                && line["rpc"].is_string()
        });
    assert!(told, "{stderr}");
    for secret in [token.as_str(), "vtl_of_nobody", &files.secret] {
        assert!(!stderr.contains(secret) && !refused.stderr.contains(secret));
    }
}

#[test]
fn a_hang_up_reads_tokens_and_certificates_again() {
    let place = Place::new();
    let before = files(&place, "server");
    let (token, vitalog) = guarded(&place, &before);
    let mut serving = vitalog.serve();
    let url = format!("grpcs://{}", serving.address());
    let is_answered = |token: &str, ca: &str| {
        let client = vitalog.clone().with_setting("VITALOG_TOKEN", token);
        let ask = ["sql", "-c", "SELECT 1", "--url", &url, "--ca", ca];
        client.run(&ask).code == 0
    };
    assert!(is_answered(&token, &before.ca));

    // What cannot be read leaves what is in force.
    place.write("tokens", "no line");
    place.write("server-key.pem", "no key");
    serving.signal("HUP");
    let kept = ["the old tokens stay", "the old certificates stay"];
    while !kept.iter().all(|words| serving.stderr().contains(words)) {
        assert!(!serving.has_ended(), "{}", serving.stderr());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(is_answered(&token, &before.ca));

    let after = files(&place, "server");
    let (other, _) = guarded(&place, &after);
    serving.signal("HUP");
    while !is_answered(&other, &after.ca) {
        assert!(!serving.has_ended(), "{}", serving.stderr());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!is_answered(&token, &after.ca), "it was taken out");

    // The last one, too.
    place.write("tokens", "# nobody\n");
    serving.signal("HUP");
    while is_answered(&other, &after.ca) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!serving.has_ended(), "{}", serving.stderr());
    assert!(serving.stderr().contains("nobody is let in"));
}

#[test]
fn a_token_is_never_an_argument() {
    let place = Place::new();
    let by_flag = ["sql", "--token", "vtl_of_this_test", "-c", "SELECT 1"];
    let refused = place.vitalog().run(&by_flag);
    assert_eq!(refused.code, 2, "{refused:?}");
}

#[test]
fn clients_with_a_certificate_need_no_token() {
    let place = Place::new();
    let (files, clients) = (files(&place, "server"), files(&place, "clients"));
    let vitalog = place
        .vitalog()
        .with_setting("VITALOG_TLS__CERT_FILE", &files.cert)
        .with_setting("VITALOG_TLS__KEY_FILE", &files.key)
        .with_setting("VITALOG_TLS__CLIENT_CA_FILE", &clients.ca);
    let mut serving =
        Serving::start(vitalog.command(&["serve", "--grpc", "0.0.0.0:0", "--http", "127.0.0.1:0"]));
    let url = format!("grpcs://127.0.0.1:{}", serving.address().port());
    let ask = ["sql", "-c", "SELECT 1", "--url", &url, "--ca", &files.ca];
    let shown = ["--cert", &clients.cert, "--key", &clients.key];
    assert_eq!(vitalog.run(&[&ask[..], &shown].concat()).code, 0);
    let refused = vitalog.run(&ask);
    assert_eq!(refused.code, 1, "{refused:?}");
}

#[test]
fn certificates_that_cannot_be_served_are_named() {
    let place = Place::new();
    let (files, other) = (files(&place, "server"), files(&place, "other"));
    let (_, vitalog) = guarded(&place, &files);
    for (path, words) in [
        (other.key.as_str(), "not that of the certificate"),
        (&files.cert, "no private key in it"),
        ("/no/such-key.pem", "cannot read"),
    ] {
        let wrong = vitalog.clone().with_setting("VITALOG_TLS__KEY_FILE", path);
        let refused = wrong.run(&["serve"]);
        assert_eq!(refused.code, 1, "{refused:?}");
        for words in [words, path, "[tls] key_file"] {
            assert!(refused.stderr.contains(words), "{words}: {refused:?}");
        }
        assert!(!refused.stderr.contains("PRIVATE KEY"), "{refused:?}");
    }
}

#[test]
fn settings_are_shown_without_secrets() {
    let place = Place::new();
    let files = files(&place, "server");
    let (token, vitalog) = guarded(&place, &files);
    let vitalog = vitalog.with_setting("VITALOG_TOKEN", &token);
    let shown = vitalog.stdout_of(&["config", "show"]);
    for words in [
        "[tls]",
        &files.key,
        "# environment",
        "# default",
        "VITALOG_TOKEN (set)",
    ] {
        assert!(shown.contains(words), "{words} in {shown}");
    }
    assert!(
        !shown.contains(&token) && !shown.contains("PRIVATE"),
        "{shown}"
    );
    let again = place.write("settings.toml", &shown);
    let plain = place.vitalog();
    let read = plain.stdout_of(&["--config", &again, "config", "show"]);
    assert!(read.contains("# file"), "{read}");
    for shell in ["bash", "zsh", "fish"] {
        let script = plain.stdout_of(&["completions", shell]);
        assert!(
            script.contains("vitalog") && script.contains("serve"),
            "{shell}"
        );
    }
}
