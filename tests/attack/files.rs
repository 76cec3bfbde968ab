//! Only one server can use a database, and every acknowledged write is kept even if the files are
//! lost.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::arena::{Arena, Server};
use crate::database;
use crate::honest::register;
use crate::verdict::{Verdict, eventually};
use crate::wire::{Connection, post};

/// The max time until the server notices the loss of a file.
const NOTICED: Duration = Duration::from_secs(15);

/// Registers until the process ends. Returns the acknowledged ids and checks how it ended.
fn register_until_refused(server: &mut Server, verdict: &mut Verdict) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let mut number = 0;
    let mut saw_503 = false;
    let ended = eventually(NOTICED, || {
        number += 1;
        let id = format!("later-{number}");
        let request = post("/register", &crate::bodies::tiny(&id));
        let response = Connection::open_within(server.addr, Duration::from_secs(2))
            .and_then(|mut connection| connection.exchange(&request));
        if response.is_ok_and(|response| response.status == 200) {
            acknowledged.push(id);
        }
        let health = server.try_get("/health").map(|response| response.status);
        saw_503 |= health.is_ok_and(|status| status == 503);
        server.has_ended().is_some()
    });
    verdict.measured("acknowledged afterwards", acknowledged.len());
    verdict.measured("health was 503", saw_503);
    verdict.check(ended, "the process goes on as if nothing had happened");
    if let Some(status) = server.has_ended() {
        verdict.check(
            status.code() == Some(2),
            format!("the process ended by {status:?}"),
        );
    }
    acknowledged
}

/// Removes or changes a file with `take_away` and checks that every acknowledged peer is rescued.
fn rescue_from(what: &str, take_away: impl FnOnce(&Arena)) {
    let arena = Arena::enter();
    let mut server = arena.start(&[]);
    let mut acknowledged = register(&server, 100);
    take_away(&arena);
    let mut verdict = Verdict::default();
    acknowledged.extend(register_until_refused(&mut server, &mut verdict));
    let rescued: Vec<_> = arena
        .files()
        .into_iter()
        .filter(|name| name.starts_with("peers.db.rescued-"))
        .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect();
    verdict.measured(what, format!("rescued as {rescued:?}"));
    verdict.check(rescued.len() == 1, format!("rescued files: {rescued:?}"));
    if let Some(name) = rescued.first() {
        let path = arena.path(name);
        let kept: HashSet<_> = database::texts(&path, "SELECT peer_id FROM peers")
            .into_iter()
            .collect();
        let lost = acknowledged.iter().filter(|id| !kept.contains(*id)).count();
        verdict.check(
            lost == 0,
            format!("{lost} acknowledged peers are not rescued"),
        );
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        verdict.check(mode == 0o600, format!("the rescued file has mode {mode:o}"));
        let is_told = eventually(Duration::from_secs(2), || {
            server.lines().iter().any(|line| line.contains(name))
        });
        verdict.check(is_told, "the log does not say where the data is");
    }
    verdict.finish();
}

#[test]
fn a_deleted_database_is_rescued() {
    rescue_from("deleted database", |arena| {
        fs::remove_file(arena.path("peers.db")).unwrap();
    });
}

#[test]
fn a_database_moved_away_is_rescued() {
    rescue_from("database moved away", |arena| {
        fs::rename(arena.path("peers.db"), arena.path("away.db")).unwrap();
    });
}

#[test]
fn a_deleted_wal_is_rescued() {
    rescue_from("deleted WAL", |arena| {
        fs::remove_file(arena.path("peers.db-wal")).unwrap();
    });
}

#[test]
fn a_database_that_a_backup_was_moved_over_is_rescued() {
    rescue_from("replaced database", |arena| {
        let copy = arena.path("backup.db");
        fs::copy(arena.path("peers.db"), &copy).unwrap();
        fs::rename(&copy, arena.path("peers.db")).unwrap();
    });
}

#[test]
fn an_emptied_database_is_rescued() {
    rescue_from("emptied database", |arena| {
        fs::File::create(arena.path("peers.db")).unwrap();
    });
}

#[test]
fn an_emptied_wal_is_rescued() {
    rescue_from("emptied WAL", |arena| {
        fs::File::create(arena.path("peers.db-wal")).unwrap();
    });
}

#[test]
fn a_database_that_a_backup_was_copied_over_is_rescued() {
    rescue_from("overwritten database", |arena| {
        let (database, copy) = (arena.path("peers.db"), arena.path("backup.db"));
        let backup = format!("VACUUM INTO '{}'", copy.display());
        database::execute(&database, &backup);
        database::execute(&database, "DELETE FROM peers_quarantine");
        fs::copy(&copy, &database).unwrap();
    });
}

#[test]
fn a_dropped_table_of_peers_is_rescued() {
    rescue_from("dropped table of peers", |arena| {
        database::execute(&arena.path("peers.db"), "DROP TABLE peers");
    });
}

/// Checks that a second server refuses to start with another name of the same file.
fn second_is_refused(arena: &Arena, first: &Server, second_url: &str) {
    register(first, 5);
    let mut verdict = Verdict::default();
    match arena.try_start(&[("DATABASE_URL", second_url)]) {
        Ok(second) => {
            let listed = second.listed_ids().len();
            verdict.check(
                false,
                format!("a second server runs and lists {listed} peers"),
            );
        }
        Err((status, said)) => {
            verdict.measured("second server", format!("{status}: {said}"));
            verdict.check(
                matches!(status.code(), Some(2 | 75)),
                format!("the second server ended by {status}"),
            );
            verdict.check(!said.contains("panicked"), said);
        }
    }
    let response = first.post(
        "/heartbeat",
        &json!({ "peerId": crate::honest::honest_id(0) }),
    );
    verdict.check(response.status == 200, "the first server is disturbed");
    verdict.finish();
}

#[test]
fn a_hard_link_lets_no_second_server_in() {
    let arena = Arena::enter();
    let first = arena.start(&[]);
    fs::hard_link(arena.path("peers.db"), arena.path("other.db")).unwrap();
    second_is_refused(&arena, &first, "sqlite://other.db");
}

#[test]
fn a_dangling_link_at_the_first_start_lets_no_second_server_in() {
    let arena = Arena::enter();
    symlink(arena.path("real.db"), arena.path("link.db")).unwrap();
    let settings = [("DATABASE_URL", "sqlite://link.db")];
    let first = arena.start(&settings);
    second_is_refused(&arena, &first, "sqlite://real.db");
}

#[test]
fn a_link_in_the_folder_above_lets_no_second_server_in() {
    let arena = Arena::enter();
    fs::create_dir(arena.path("real")).unwrap();
    symlink(arena.path("real"), arena.path("link")).unwrap();
    let settings = [("DATABASE_URL", "sqlite://link/peers.db")];
    let first = arena.start(&settings);
    second_is_refused(&arena, &first, "sqlite://real/peers.db");
}

#[test]
fn a_deleted_lock_file_lets_no_second_server_in() {
    let arena = Arena::enter();
    let first = arena.start(&[]);
    for name in arena.files() {
        if name.contains("lock") {
            fs::remove_file(arena.path(&name)).unwrap();
        }
    }
    second_is_refused(&arena, &first, "sqlite://peers.db");
}

#[test]
fn nobody_else_may_read_the_files() {
    let arena = Arena::enter();
    let mut verdict = Verdict::default();
    let server = arena.start(&[]);
    register(&server, 5);
    check_modes(&arena, &mut verdict);
    drop(server);
    // A database of an earlier version, which was not private.
    let database = arena.path("peers.db");
    fs::set_permissions(&database, fs::Permissions::from_mode(0o644)).unwrap();
    let server = arena.start(&[]);
    register(&server, 5);
    check_modes(&arena, &mut verdict);
    verdict.finish();
}

fn check_modes(arena: &Arena, verdict: &mut Verdict) {
    for name in arena.files() {
        let path: PathBuf = arena.path(&name);
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        verdict.check(mode == 0o600, format!("{name} has mode {mode:o}"));
    }
}
