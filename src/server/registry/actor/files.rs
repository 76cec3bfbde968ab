//! What the actor does about the files of the database.

use std::mem;

use actix::{ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::registry_actor::RegistryActor;
use crate::server::registry::journal;
use crate::server::registry::state::Storage;
use crate::server::storage::FileGone;

/// Pages that a backup cleanup gives back at most: some 50 ms.
const MAX_VACUUMED_PAGES: u32 = 2000;

impl RegistryActor {
    /// Lets the file shrink a little, if much of it is free.
    pub fn give_back_pages(&self) {
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
    pub fn checkpoint(&self) {
        let store = self.store.clone();
        actix::spawn(async move {
            if let Err(error) = store.checkpoint().await {
                journal::still_degraded(&error);
            }
        });
    }

    /// Looks whether the files are still there. If not, nothing is accepted any more, what is known
    /// is written to a new file, and the actor ends.
    pub fn check_files(&mut self, ctx: &mut Context<Self>) {
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
        self.view.write().storage = Storage::Fails { since_ms: now_ms };
        let store = self.store.clone();
        let rescue = async move { store.give_up(gone, now_ms).await };
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
