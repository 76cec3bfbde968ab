//! What the actor does with the database files.

use std::mem;

use actix::{ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};

use super::registry_actor::RegistryActor;
use crate::server::registry::journal;
use crate::server::registry::state::Storage;
use crate::server::storage::{FileGone, RescueData};

/// The maximum number of pages that a backup cleanup returns to the file system, which takes about
/// 50 ms.
const MAX_VACUUMED_PAGES: u32 = 2000;

impl RegistryActor {
    /// Shrinks the file a little if much of it is free.
    pub(crate) fn give_back_pages(&self) {
        let store = self.store.clone();
        actix::spawn(async move {
            match store.vacuum_some(MAX_VACUUMED_PAGES).await {
                Ok(0) => {}
                Ok(pages) => journal::shrunk(pages),
                Err(error) => journal::still_degraded(&error),
            }
        });
    }

    /// Moves the write-ahead log into the database file, so that a start after a crash has little
    /// to read.
    pub(crate) fn checkpoint(&self) {
        let store = self.store.clone();
        actix::spawn(async move {
            if let Err(error) = store.checkpoint().await {
                journal::still_degraded(&error);
            }
        });
    }

    /// Checks that the files still exist and hold what was written. If not, the actor refuses all
    /// mutations, writes what it knows to a new file, and stops.
    pub(crate) fn check_files(&mut self, ctx: &mut Context<Self>) {
        if mem::replace(&mut self.is_checking_files, true) {
            return;
        }
        let store = self.store.clone();
        let log_warning_bytes = self.config.wal_warning_bytes;
        let check = async move { store.check_files(log_warning_bytes).await };
        let checked = check.into_actor(self).map(|checked, actor, ctx| {
            actor.is_checking_files = false;
            match checked {
                Ok(log_bytes) => actor.pulse.set_log_bytes(log_bytes),
                Err(gone) => actor.give_up(gone, ctx),
            }
        });
        ctx.spawn(checked);
    }

    /// Writes what is known to a new file, and stops.
    pub(crate) fn give_up(&mut self, gone: FileGone, ctx: &mut Context<Self>) {
        if mem::replace(&mut self.is_rescuing, true) {
            return;
        }
        let now_ms = self.clock.now_ms();
        self.is_checking_files = true;
        // The health check must fail at once.
        let mut state = self.view.write();
        if let Storage::Works(_) = state.storage {
            state.storage = Storage::Fails { since_ms: now_ms };
        }
        drop(state);
        let (store, registry) = (self.store.clone(), ctx.address());
        actix::spawn(async move {
            store.refuse_work().await;
            // This message arrives after the result of the last commit, so memory includes that
            // commit.
            registry.do_send(Rescue { gone });
        });
    }
}

/// Makes the actor write everything it knows to a new file, and stop.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Rescue {
    gone: FileGone,
}

impl Handler<Rescue> for RegistryActor {
    type Result = ();

    fn handle(&mut self, message: Rescue, ctx: &mut Self::Context) {
        let now_ms = self.clock.now_ms();
        let state = self.view.read();
        let alive_at_ms = match state.storage {
            Storage::Fails { since_ms } => since_ms,
            Storage::Works(_) => now_ms,
        };
        let memory = state.memory();
        drop(state);
        let (view, mut parts) = (self.view.clone(), 0..);
        let known = RescueData {
            now_ms,
            alive_at_ms,
            memory,
            // The peers are read in parts, so that no reader waits long for the lock.
            peers: move || view.read().directory.rows(parts.next()?),
        };
        let store = self.store.clone();
        let rescue = async move { store.give_up(message.gone, known).await };
        let ended = rescue.into_actor(self).map(|lost, actor, ctx| {
            journal::files_lost(&lost);
            if let Some(alive) = actor.alive.take() {
                // The receiver is gone if the process is being shut down.
                let _ = alive.send(lost);
            }
            ctx.stop();
        });
        ctx.spawn(ended);
    }
}
