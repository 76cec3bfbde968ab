//! Values in `.env` and in the environment are taken as they are, or refused.

use std::fs;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha1::Sha1;

use crate::child::{Registry, folder, peer, refused, turn_server};

fn hmac(secret: &[u8], text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).unwrap();
    mac.update(text.as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

#[tokio::test]
async fn quotes_that_the_environment_keeps_are_refused_and_not_shown() {
    let folder = folder();
    for (name, value) in [
        ("TURN_SHARED_SECRET", "\"s3cr3t\""),
        ("ADMIN_TOKEN", "'token-of-the-operator'"),
        ("ADMIN_TOKEN_FILE", "\"token\""),
        ("MAX_PEERS", "\"10\""),
        ("DATABASE_URL", "'sqlite://peers.db'"),
    ] {
        let parts = [name, "has quotes around its value"];
        let message = refused(folder.path(), &[], &[(name, value)], &parts).await;
        assert!(!message.contains("s3cr3t") && !message.contains("token-of"));
    }
    fs::write(folder.path().join("token"), "\"token-of-the-operator\"\n").unwrap();
    let env = [("ADMIN_TOKEN_FILE", "token")];
    refused(folder.path(), &[], &env, &["ADMIN_TOKEN_FILE", "quotes"]).await;
}

#[tokio::test]
async fn a_secret_in_the_env_file_loses_no_part_of_itself() {
    let allocated = async |line: &str| {
        let folder = folder();
        fs::write(folder.path().join(".env"), line).unwrap();
        let mut registry = Registry::start(folder.path(), &[]).await;
        registry.register(&turn_server("server")).await;
        registry.register(&peer("a")).await;
        let (status, answer) = registry
            .post(
                "/allocate-turn",
                &json!({ "peerId": "a", "p2pAttempted": true }),
            )
            .await;
        assert_eq!(status, 200, "{answer}");
        let credentials = answer["iceServers"][0].clone();
        registry.stop().await;
        let name = credentials["username"].as_str().unwrap().to_owned();
        (name, credentials["credential"].as_str().unwrap().to_owned())
    };
    for line in [
        "TURN_SHARED_SECRET=ab$defgh1",
        "TURN_SHARED_SECRET=\"ab$defgh1\"",
        "TURN_SHARED_SECRET='ab$defgh1'",
    ] {
        let (username, credential) = allocated(line).await;
        assert_eq!(credential, hmac(b"ab$defgh1", &username), "{line}");
    }
    let folder = folder();
    fs::write(
        folder.path().join(".env"),
        "ADMIN_TOKEN=token-of-${the}-operator\n",
    )
    .unwrap();
    let message = refused(
        folder.path(),
        &[],
        &[],
        &[".env", "line 1", "single quotes"],
    )
    .await;
    assert!(!message.contains("operator"), "{message}");
}

#[tokio::test]
async fn a_blank_at_the_end_of_a_secret_is_refused_wherever_it_comes_from() {
    let folder = folder();
    fs::write(folder.path().join("token"), "token-of-the-operator \n").unwrap();
    for (name, value) in [
        ("ADMIN_TOKEN", " token-of-the-operator"),
        ("ADMIN_TOKEN_FILE", "token"),
        ("TURN_SHARED_SECRET", "north, old"),
    ] {
        let parts = [name, "has a blank at the beginning or the end"];
        let message = refused(folder.path(), &[], &[(name, value)], &parts).await;
        assert!(!message.contains("north") && !message.contains("token-of"));
    }
    fs::write(folder.path().join(".env"), "TURN_SHARED_SECRET='north '\n").unwrap();
    refused(folder.path(), &[], &[], &["TURN_SHARED_SECRET", "blank"]).await;
}

#[tokio::test]
async fn a_name_that_looks_like_a_setting_is_named_and_others_are_left_alone() {
    let folder = folder();
    let env = "TURN_SHARED_SECRETS=s3cr3t\nPEER_TIMEOUT=60\nPOSTGRES_PASSWORD=s3cr3t\n";
    fs::write(folder.path().join(".env"), env).unwrap();
    let variables = [("MAX_PEER", "5"), ("HOSTNAME", "registry")];
    let mut registry = Registry::start_with(folder.path(), &[], &variables).await;
    registry.stop().await;
    let lines = registry.lines().join("\n");
    for part in [
        ".env has TURN_SHARED_SECRETS, which is not a setting and is ignored; perhaps \
         TURN_SHARED_SECRET is meant",
        "perhaps PEER_TIMEOUT_SECS is meant",
        "the environment has MAX_PEER,",
    ] {
        assert!(lines.contains(part), "{part} in {lines}");
    }
    assert!(!lines.contains("POSTGRES") && !lines.contains("s3cr3t"));
    assert_eq!(lines.matches("is not a setting").count(), 3, "{lines}");
}
