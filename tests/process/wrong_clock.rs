//! After a wrong clock, a registry starts without the help of an operator.

use crate::child::{Registry, folder, peer, refused_for_now};
use crate::database;
use crate::disk::shim;

#[tokio::test]
async fn a_start_waits_for_a_clock_that_is_not_set_and_then_fails_with_a_temporary_error() {
    let (folder, tools) = (folder(), folder());
    let library = shim(tools.path());
    // To about 1970, and to the next century.
    for shift in ["-1790000000", "2500000000"] {
        let env = [
            ("LD_PRELOAD", library.to_str().unwrap()),
            ("SHIFT_CLOCK_SECS", shift),
        ];
        refused_for_now(folder.path(), &[], &env, &["the clock says"]).await;
    }
}

#[tokio::test]
async fn a_sign_of_life_from_another_century_costs_no_lease_and_no_start() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    registry.register(&peer("a")).await;
    registry.stop().await;
    let session = "INSERT INTO turn_sessions
        SELECT 's', 'a', 'b', 'free', 1, alive_at, alive_at, alive_at, 0, NULL, 0, alive_at
        FROM registry_state";
    for statement in [
        session,
        // Simulates a short run in 2126.
        "INSERT INTO outages SELECT alive_at, alive_at + 3155760000000 FROM registry_state",
        "UPDATE registry_state SET alive_at = alive_at + 3155760000000",
    ] {
        let mut operator = database::open_in(folder.path()).await;
        database::execute(&mut operator, statement).await;
        sqlx::Connection::close(operator).await.unwrap();
    }
    let mut registry = Registry::start(folder.path(), &[]).await;
    assert_eq!(registry.listed_ids().await, ["a"]);
    registry.register(&peer("b")).await;
    registry.stop().await;
    for absurd in [
        "UPDATE registry_state SET alive_at = 9223372036854775807",
        "UPDATE registry_state SET alive_at = -9223372036854775807",
    ] {
        let mut operator = database::open_in(folder.path()).await;
        database::execute(&mut operator, absurd).await;
        sqlx::Connection::close(operator).await.unwrap();
        let mut registry = Registry::start(folder.path(), &[]).await;
        registry.register(&peer("c")).await;
        registry.stop().await;
    }
}
