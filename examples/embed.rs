//! A node that stays registered and is handed peers: `cargo run --example embed -- URL...`

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use peer_registry::agent::{Agent, Event, Identity, Registration};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let identity = Identity::load_or_create("node.key")?;
    let connected = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connected);

    let agent = Agent::builder(Registration::new(&identity, 4001).network_id("mainnet"))
        .registries(std::env::args().skip(1))
        .connected_peers(move || counted.load(Ordering::Relaxed))
        .last_known_good("peers.json")
        .start()?;

    let mut events = agent.events();
    while let Some(event) = events.next().await {
        match event {
            Event::PeersFound { list } => {
                for peer in list.peers {
                    println!("dial {} at {:?}", peer.peer_id, peer.addresses);
                    connected.fetch_add(1, Ordering::Relaxed);
                }
            }
            other => println!("{other:?}"),
        }
    }
    Ok(())
}
