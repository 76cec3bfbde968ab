//! A node that stays registered and is handed peers: `cargo run --example embed -- URL...`

use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use peer_registry::agent::{Agent, Event, Identity, Registration};
use peer_registry::protocol::PeerId;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("embed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let identity = Identity::load_or_create("node.key")?;
    let connected = Arc::new(Mutex::new(Vec::<PeerId>::new()));
    let known = Arc::clone(&connected);

    let agent = Agent::builder(Registration::new(&identity, 4001).network_id("mainnet"))
        .identity(&identity)
        .registries(std::env::args().skip(1))
        .connections(move || {
            known
                .lock()
                .map_or(0.into(), |ids| ids.iter().cloned().collect())
        })
        .last_known_good("peers.json")
        .start()?;

    let mut events = agent.events();
    while let Some(event) = events.next().await {
        match event {
            Event::PeersFound { list } => {
                for peer in list.peers {
                    println!("dial {} at {:?}", peer.peer_id, peer.addresses);
                    connected
                        .lock()
                        .map_err(|_| "a thread panicked")?
                        .push(peer.peer_id);
                }
            }
            other => println!("{other:?}"),
        }
    }
    Ok(())
}
