//! The settings of the relay budget, and the secrets that must not be shown.

use serde_json::json;

use crate::child::{Registry, folder, peer, refused, run};

const SECRET: &str = "north-of-the-wall";
const TOKEN: &str = "token-of-the-operator";

/// Settings, each with texts that are wrong for it.
const WRONG: [(&str, &[&str]); 7] = [
    (
        "MONTHLY_BUDGET_USD",
        &[
            "", "lots", "0", "-1", "NaN", "inf", "1e10", "$800", "800,00",
        ],
    ),
    (
        "FIXED_MONTHLY_COST_USD",
        &["", "-0.01", "NaN", "-inf", "2e9"],
    ),
    ("EGRESS_USD_PER_GB", &["", "free", "-1", "nan", "1e300"]),
    (
        "COST_THRESHOLDS_PERCENT",
        &[
            "",
            "70",
            "70,85,95",
            "70,85,95,98,99",
            "70,70,95,98",
            "98,95,85,70",
            "0,85,95,98",
            "-1,85,95,98",
            "70,85,95,NaN",
            "70,85,95,inf",
            "70,85,95,1001",
            "70%,85%,95%,98%",
        ],
    ),
    (
        "TIER_LIMITS",
        &[
            "",
            "free",
            "free=5",
            "free=5/0",
            "free=0/1",
            "free=-1/1",
            "free=1.5/1",
            "gold=5/1",
            "Free=5/1",
            "free=5/1;basic=10/2",
            "free=20/1",
            "premium=100001/10",
            "free=5/1,",
        ],
    ),
    ("TRUST_CLIENT_TIER", &["", "yes", "1", "TRUE"]),
    (
        "MODE_OVERRIDE",
        &[
            "off",
            "Normal",
            "normal@",
            "normal@tomorrow",
            "normal@2026-12-01",
            "@2026-12-01T00:00:00Z",
            "normal@2026-12-01T00:00:00",
        ],
    ),
];

#[tokio::test]
async fn settings_of_the_budget_that_are_wrong_stop_the_start() {
    let folder = folder();
    for (name, texts) in WRONG {
        for text in texts {
            let env = [(name, *text)];
            let message = refused(folder.path(), &[], &env, &[name, &format!("{text:?}")]).await;
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }
}

#[tokio::test]
async fn all_faults_of_the_budget_settings_are_reported_at_once() {
    let folder = folder();
    let env = [
        ("MONTHLY_BUDGET_USD", "lots"),
        ("COST_THRESHOLDS_PERCENT", "few"),
        ("TIER_LIMITS", "none"),
        ("TRUST_CLIENT_TIER", "perhaps"),
        ("MODE_OVERRIDE", "loose"),
        ("TURN_SHARED_SECRET", SECRET),
        ("ADMIN_TOKEN", TOKEN),
    ];
    let names = env.map(|(name, _)| name);
    let message = refused(folder.path(), &[], &env, &names[..5]).await;
    assert_eq!(message.lines().count(), 5, "{message}");
    assert!(!message.contains(SECRET) && !message.contains(TOKEN));
}

#[tokio::test]
async fn an_empty_mode_override_or_secret_counts_as_not_set() {
    let folder = folder();
    let env = ["MODE_OVERRIDE", "TURN_SHARED_SECRET", "ADMIN_TOKEN"].map(|name| (name, ""));
    let mut registry = Registry::start_with(folder.path(), &[], &env).await;
    let (_, health) = registry.get("/health").await;
    assert_eq!(health["costInfo"]["mode"], "normal");
    let request = registry
        .client
        .put(format!("http://{}/admin/mode", registry.addr));
    let request = request.header("authorization", "Bearer ");
    let response = request.json(&json!({ "mode": null })).send().await.unwrap();
    assert_eq!(response.status(), 404);
    drop(response);
    registry.stop().await;
}

#[tokio::test]
async fn secrets_are_neither_in_the_help_nor_in_the_log_at_any_level() {
    let folder = folder();
    let env = [
        ("TURN_SHARED_SECRET", "north-of-the-wall,old-secret"),
        ("ADMIN_TOKEN", TOKEN),
        ("RUST_LOG", "trace"),
    ];
    let help = run(folder.path(), &["--help"], &env).await;
    assert_eq!(help.code, Some(0));
    let typo = run(folder.path(), &["--turn-shared-secrets=x"], &env).await;
    assert_eq!(typo.code, Some(2));

    let registry = Registry::start_with(folder.path(), &[], &env).await;
    let mut server = peer("turn");
    server["turnCapable"] = json!(true);
    server["turnAddresses"] = json!(["203.0.113.20"]);
    server["turnPort"] = json!(3478);
    registry.register(&server).await;
    registry.register(&peer("a")).await;
    let (_, granted) = registry
        .post("/allocate-turn", &json!({ "peerId": "a" }))
        .await;
    let credential = granted["iceServers"][0]["credential"].as_str().unwrap();
    for token in [TOKEN, "token-of-another"] {
        let request = registry
            .client
            .put(format!("http://{}/admin/peers/a/tier", registry.addr));
        let request = request.header("authorization", format!("Bearer {token}"));
        let request = request.json(&json!({ "tier": "basic" }));
        request.send().await.unwrap();
    }
    registry.register(&peer("last")).await;
    registry.line("peer=last").await;
    let log = registry.lines().join("\n");
    for text in [&help.stdout, &help.stderr, &typo.stderr, &log] {
        for secret in [SECRET, "old-secret", TOKEN, "token-of-another", credential] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        let id = granted["sessionId"].as_str().unwrap();
        assert!(!text.contains(id), "whoever knows a session can end it");
    }
}

#[tokio::test]
async fn wrong_tokens_are_logged_as_a_line_and_a_count_and_never_shown() {
    let folder = folder();
    let env = [("ADMIN_TOKEN", TOKEN)];
    let registry = Registry::start_with(folder.path(), &[], &env).await;
    for at in 0..30 {
        let request = registry
            .client
            .put(format!("http://{}/admin/mode", registry.addr));
        let request = request.header("authorization", format!("Bearer guess-{at}"));
        let response = request.json(&json!({ "mode": null })).send().await.unwrap();
        let expected = if at < 10 { 401 } else { 429 };
        assert_eq!(response.status(), expected);
    }
    registry.line("refused wrong admin tokens count=1").await;
    registry.line("refused wrong admin tokens count=29").await;
    let lines = registry.lines();
    let about = lines.iter().filter(|line| line.contains("admin tokens"));
    assert_eq!(about.count(), 2, "{lines:#?}");
    assert!(!lines.join("\n").contains("guess-"), "{lines:#?}");
}

#[tokio::test]
async fn a_token_that_is_easy_to_guess_stops_the_start_and_is_not_shown() {
    let folder = folder();
    for easy in ["short-token", "zzzzzzzzzzzzzzzzzzzzzzzz"] {
        let env = [("ADMIN_TOKEN", easy)];
        let parts = ["ADMIN_TOKEN", "at least 16 characters"];
        let message = refused(folder.path(), &[], &env, &parts).await;
        assert!(!message.contains(easy), "{message}");
    }
}

#[tokio::test]
async fn there_is_no_flag_for_a_secret() {
    let folder = folder();
    for flag in ["--admin-token", "--turn-shared-secret"] {
        let arg = format!("{flag}={TOKEN}");
        let message = refused(folder.path(), &[&arg], &[], &[flag]).await;
        assert!(!message.contains(TOKEN), "{message}");
    }
}

#[tokio::test]
async fn secrets_are_read_from_files_of_their_own() {
    let folder = folder();
    std::fs::write(folder.path().join("token"), format!("{TOKEN}\n")).unwrap();
    std::fs::write(folder.path().join("turn"), format!("{SECRET}\n")).unwrap();
    let env = [
        ("ADMIN_TOKEN_FILE", "token"),
        ("TURN_SHARED_SECRET_FILE", "turn"),
    ];
    let mut registry = Registry::start_with(folder.path(), &[], &env).await;
    registry.line("1 TURN secrets, admin paths on").await;
    let request = registry
        .client
        .put(format!("http://{}/admin/peers/a/tier", registry.addr));
    let request = request.header("authorization", format!("Bearer {TOKEN}"));
    let response = request.json(&json!({ "tier": "basic" })).send();
    assert_eq!(response.await.unwrap().status(), 200);
    registry.stop().await;

    let both = [("ADMIN_TOKEN_FILE", "token"), ("ADMIN_TOKEN", TOKEN)];
    let parts = ["ADMIN_TOKEN and ADMIN_TOKEN_FILE"];
    let message = refused(folder.path(), &[], &both, &parts).await;
    assert!(!message.contains(TOKEN), "{message}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_secret_that_is_not_utf_8_is_not_shown_either() {
    use std::os::unix::ffi::OsStrExt;

    let folder = folder();
    for name in ["TURN_SHARED_SECRET", "ADMIN_TOKEN"] {
        let mut command = crate::child::command(folder.path(), &["--listen-addr=127.0.0.1:0"], &[]);
        command.env(name, std::ffi::OsStr::from_bytes(b"north-of-the-wall\xff"));
        let ended = crate::child::soon("the end", command.output())
            .await
            .unwrap();
        assert_eq!(ended.status.code(), Some(2));
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert!(!stderr.contains(SECRET), "{stderr}");
    }
}
