//! Query strings and paths as clients write them.

use crate::helpers::{TestRegistry, peer};

#[actix_web::test]
async fn a_slash_too_many_in_a_url_makes_no_node_vanish() {
    let registry = TestRegistry::start_with_operator(&[]).await;
    for path in ["//register", "/register/", "///register//"] {
        registry.post(path, &peer("a")).await.ok();
    }
    let listing = registry.get("//peers/?networkId=").await.ok();
    assert_eq!(listing["total"], 1);
    // It is the operator's path all the same.
    let refused = registry.get("//admin//mode/").await;
    refused.refused(405, "method_not_allowed");
    let refused = registry.get("/peer").await;
    refused.refused(404, "not_found");
}

#[actix_web::test]
async fn a_parameter_that_is_repeated_with_another_value_is_refused() {
    let registry = TestRegistry::start().await;
    let body = registry.peers("limit=1&limit=2").await;
    let body = body.refused(400, "invalid_field");
    assert_eq!(body["field"], "limit");
    registry.peers("limit=1&limit=1").await.ok();
}

#[actix_web::test]
async fn filters_are_taken_as_clients_write_them() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    for (query, total) in [
        ("turnCapable=False", 1),
        ("turnCapable=True", 0),
        ("turnCapable", 0),
        ("networkId=", 1),
        ("networkId=&store=&version=&exclude=&limit=&cursor=", 1),
        ("networkId=other", 0),
        ("_=1732550000000", 1),
        ("cacheBuster=1&cacheBuster=2", 1),
    ] {
        let listing = registry.peers(query).await.ok();
        assert_eq!(listing["total"], total, "{query}");
    }
    let with_stores = registry.peers("includeStores").await.ok();
    assert!(with_stores["peers"][0]["stores"].is_array());
}

#[actix_web::test]
async fn a_misspelled_filter_never_lists_all_networks() {
    let registry = TestRegistry::start().await;
    for (query, meant) in [
        ("networkID=testnet", "networkId"),
        ("network=testnet", "networkId"),
        ("storeId=a", "store"),
        ("Limit=5", "limit"),
    ] {
        let body = registry.peers(query).await.refused(400, "invalid_field");
        assert_eq!(body["field"], meant, "{query}");
        let given = query.split('=').next().unwrap();
        assert!(body["error"].as_str().unwrap().contains(given), "{body}");
    }
    // The name is repeated only if it is plain, since a client may display the error.
    let body = registry.peers("networkId%3Cscript%3E=1").await;
    let body = body.refused(400, "invalid_field");
    assert!(!body["error"].as_str().unwrap().contains('<'), "{body}");
}

#[actix_web::test]
async fn a_query_of_very_many_parameters_is_refused() {
    let registry = TestRegistry::start().await;
    let parameters = |count| {
        let names: Vec<_> = (0..count).map(|at| format!("x{at}=1")).collect();
        names.join("&")
    };
    registry.peers(&parameters(32)).await.ok();
    let refused = registry.peers(&parameters(33)).await;
    let body = refused.refused(400, "invalid_field");
    assert_eq!(body["field"], "query");
}
