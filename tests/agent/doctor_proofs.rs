//! What the doctor says about the keys of the node and of the registry.

use peer_registry::agent::doctor::{Finding, Subject, examine, recall_registry_key};
use peer_registry::agent::{Identity, Registration};
use peer_registry::protocol::RegisterRequest;

use crate::helpers::*;

#[actix_web::test]
async fn the_doctor_says_whose_the_id_is_and_whether_the_registry_is_the_same() {
    let time = Time::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.json");
    let mut registry = TestRegistry::start(&time).await;
    let identity = Identity::generate();
    let unproven = RegisterRequest::from(Registration::new(&identity, 4001));
    let subject = Subject::Listing {
        peer_id: identity.peer_id(),
        announced: None,
        lease_secs: None,
    };
    registry.client.register(&unproven).await.unwrap();
    let client = time.client(&registry.url).with_identity(&identity);
    let findings = examine(&client, subject).await;
    assert!(findings.contains(&Finding::NotClaimed), "{findings:?}");

    let agent = time.agent(Registration::new(&identity, 4001), &registry.url);
    let agent = agent.identity(&identity).last_known_good(&path).start();
    let agent = agent.unwrap();
    time.wait_until_idle(2).await;
    agent.stop().await;
    let client = time.client(&registry.url).with_identity(&identity);
    recall_registry_key(&client, &path).await;
    let findings = examine(&client, subject).await;
    let claimed = Finding::KeyProven { is_claimed: true };
    assert_eq!(findings[2..4], [claimed, Finding::RegistryKeyAsBefore]);
    let findings = examine(&registry.client, subject).await;
    assert_eq!(findings[2], Finding::ClaimedByItsKey);

    registry.stop().await;
    registry.lose_keys();
    registry.resume().await;
    let client = time.client(&registry.url).with_identity(&identity);
    recall_registry_key(&client, &path).await;
    let findings = examine(&client, subject).await;
    assert!(
        matches!(findings[2], Finding::RegistryKeyChanged { .. }),
        "{findings:?}"
    );
}
