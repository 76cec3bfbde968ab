//! Malformed query strings.

use crate::helpers::TestRegistry;

#[actix_web::test]
async fn a_repeated_parameter_is_named_only_if_its_name_is_plain() {
    let registry = TestRegistry::start().await;
    let body = registry.peers("limit=1&limit=2").await;
    let body = body.refused(400, "invalid_field");
    assert_eq!(body["field"], "limit");
    let long = "x".repeat(65);
    for name in ["%3Cscript%3E", "a%E2%80%AEb", "%00", "a.b", &*long] {
        let body = registry.peers(&format!("{name}=1&{name}=2")).await;
        let body = body.refused(400, "invalid_field");
        assert_eq!(body["field"], "query", "{name}");
        let sentence = body["error"].as_str().unwrap();
        assert!(sentence.is_ascii() && !sentence.contains('<'), "{sentence}");
    }
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
