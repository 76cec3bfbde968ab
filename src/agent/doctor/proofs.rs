//! Decides what the proof of the node's key at a registry means. Pure: every observation is a parameter.

use super::finding::Finding;
use crate::agent::client::ProofNotice;

/// What was seen of a proof.
pub(crate) struct Proof {
    /// Whether the registry took it.
    pub(crate) is_taken: bool,
    /// Whether a key of the registry was known before.
    pub(crate) was_registry_known: bool,
    /// What the client noticed.
    pub(crate) notices: Vec<ProofNotice>,
    /// Whether the node's entry says that it was proven; `None` if the node is not listed.
    pub(crate) is_entry_proven: Option<bool>,
}

/// Judges the proof of a node that has its key.
pub(crate) fn judge_proof(proof: Proof) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut is_explained = false;
    let mut has_changed = false;
    for notice in proof.notices {
        findings.push(match notice {
            ProofNotice::RegistryKeyChanged { before, now } => {
                has_changed = true;
                Finding::RegistryKeyChanged { before, now }
            }
            ProofNotice::UnknownHost { host } => {
                is_explained = true;
                Finding::RegistryNameUnknown { host }
            }
            notice => {
                is_explained = true;
                Finding::NotProven {
                    reason: notice.to_string(),
                }
            }
        });
    }
    findings.extend(match (proof.is_taken, proof.is_entry_proven) {
        (true, Some(false)) => Some(Finding::NotClaimed),
        (true, is_entry_proven) => Some(Finding::KeyProven {
            is_claimed: is_entry_proven.is_some(),
        }),
        (false, _) if is_explained => None,
        (false, _) => Some(Finding::NoProofs),
    });
    if proof.is_taken && proof.was_registry_known && !has_changed {
        findings.push(Finding::RegistryKeyAsBefore);
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(is_taken: bool, is_entry_proven: Option<bool>) -> Vec<Finding> {
        judge_proof(Proof {
            is_taken,
            was_registry_known: true,
            notices: Vec::new(),
            is_entry_proven,
        })
    }

    #[test]
    fn an_entry_without_a_proof_is_told_apart_from_one_with() {
        let known = Finding::RegistryKeyAsBefore;
        let proven = |is_claimed| Finding::KeyProven { is_claimed };
        assert_eq!(judged(true, Some(true)), [proven(true), known.clone()]);
        assert_eq!(judged(true, None), [proven(false), known.clone()]);
        assert_eq!(judged(true, Some(false)), [Finding::NotClaimed, known]);
        assert_eq!(judged(false, Some(false)), [Finding::NoProofs]);
    }

    #[test]
    fn a_reason_is_not_followed_by_a_second_finding() {
        let notices = vec![ProofNotice::PasswordInstead];
        let findings = judge_proof(Proof {
            is_taken: false,
            was_registry_known: false,
            notices,
            is_entry_proven: None,
        });
        assert!(
            matches!(findings[..], [Finding::NotProven { .. }]),
            "{findings:?}"
        );
    }
}
