//! What the actor does about the files of the database.

use std::mem;

use actix::{ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};

use super::registry_actor::RegistryActor;
use crate::server::registry::journal;
use crate::server::registry::state::Storage;
use crate::server::storage::{FileGone, Known};

/// Pages that a backup cleanup gives back at most: some 50 ms.
const MAX_VACUUMED_PAGES: u32 = 2000;

impl RegistryActor {
    /// Lets the file shrink a little, if much of it is free.
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

    /// Moves the log into the file, so that there is little to read after a crash.
    pub(crate) fn checkpoint(&self) {
        let store = self.store.clone();
        actix::spawn(async move {
            if let Err(error) = store.checkpoint().await {
                journal::still_degraded(&error);
            }
        });
    }

    /// Looks whether the files are still there and hold what was written. If not, nothing is accepted any more, what is known
    /// is written to a new file, and the actor ends.
    pub(crate) fn check_files(&mut self, ctx: &mut Context<Self>) {
        if mem::replace(&mut self.is_checking_files, true) {
            return;
        }
        let store = self.store.clone();
        let check = async move { store.check_files().await };
        let checked = check.into_actor(self).map(|checked, actor, ctx| {
            actor.is_checking_files = false;
            if let Err(gone) = checked {
                actor.give_up(gone, ctx);
            }
        });
        ctx.spawn(checked);
    }

    fn give_up(&mut self, gone: FileGone, ctx: &mut Context<Self>) {
        let now_ms = self.clock.now_ms();
        self.is_checking_files = true;
        // Health must say so at once.
        let mut state = self.view.write();
        if let Storage::Works(_) = state.storage {
            state.storage = Storage::Fails { since_ms: now_ms };
        }
        drop(state);
        let (store, registry) = (self.store.clone(), ctx.address());
        actix::spawn(async move {
            store.refuse_work().await;
            // It comes behind the news of the last commit, so that memory has that too.
            registry.do_send(Rescue { gone });
        });
    }
}

/// Tells the actor to write all that is known to a new file, and to end.
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
        let known = Known {
            now_ms,
            alive_at_ms,
            memory,
            // Some at a time, so that nobody who reads waits long.
            peers: move || view.read().directory.rows(parts.next()?),
        };
        let store = self.store.clone();
        let rescue = async move { store.give_up(message.gone, known).await };
        let ended = rescue.into_actor(self).map(|lost, actor, ctx| {
            journal::files_lost(&lost);
            if let Some(alive) = actor.alive.take() {
                // Nobody listens any more if the process is being torn down.
                let _ = alive.send(lost);
            }
            ctx.stop();
        });
        ctx.spawn(ended);
    }
}
