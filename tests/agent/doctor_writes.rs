//! What the doctor says about requests that change something.

use peer_registry::agent::doctor::{Finding, Subject, Verdict, examine};
use peer_registry::protocol::{PeersQuery, RegisterRequest};
use peer_registry::server::config::{AddressPolicy, Config};

use crate::helpers::*;

#[actix_web::test]
async fn a_proxy_that_refuses_the_registration_is_no_captive_portal() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    let announced = RegisterRequest::from(node());
    let health = serde_json::to_string(&registry.client.health().await.unwrap()).unwrap();
    let nobody = registry.client.peers(&PeersQuery::default()).await;
    let nobody = serde_json::to_string(&nobody.unwrap()).unwrap();
    let unknown = r#"{"code":"peer_not_found","error":"no such peer"}"#;
    for (head, advice) in [
        ("413 Too Large", "client_max_body_size"),
        ("405 Not Allowed", "must let POST requests through"),
        ("403 Forbidden", "must let POST requests through"),
    ] {
        let responses = [
            ("200 OK", &*health),
            ("404 Not Found", unknown),
            ("200 OK", &*nobody),
            (head, "<html>"),
        ];
        proxy.responds_in_turn(responses);
        let subject = Subject::Registration(&announced);
        let findings = examine(&time.client(&proxy.url), subject).await;
        let last = findings.last().unwrap();
        assert!(last.advice().unwrap().contains(advice), "{head}: {last}");
        assert!(!last.to_string().contains("portal"), "{last}");
        assert_eq!(last.verdict(), Verdict::Wrong);
    }
}

#[actix_web::test]
async fn a_node_whose_addresses_were_all_dropped_is_not_said_to_have_others() {
    let time = Time::start();
    let any = |config: &mut Config| {
        config.address_policy = AddressPolicy::Any;
    };
    let registry = TestRegistry::start_with(&time, any).await;
    let mut announced = peer("a");
    announced.addresses = vec!["/ip4/127.0.0.1/tcp/4001".to_owned()];
    let listing = Subject::Listing {
        peer_id: &announced.peer_id,
        announced: Some(&announced),
        lease_secs: None,
    };
    for subject in [Subject::Registration(&announced), listing] {
        let findings = examine(&registry.client, subject).await;
        let last = findings.last();
        assert_eq!(last, Some(&Finding::NoAddressLeft), "{findings:?}");
    }
}
