//! Whether the server runs in a container.

use std::env;
use std::path::Path;

/// Variables that container engines and Kubernetes set.
const VARIABLES: [&str; 2] = ["container", "KUBERNETES_SERVICE_HOST"];
/// Files that Docker and Podman put into each container.
const FILES: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];

/// Whether this process most likely runs in a container, with a network of its own.
pub(crate) fn is_in_container() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    VARIABLES.iter().any(is_set) || FILES.iter().any(|file| Path::new(file).exists())
}
