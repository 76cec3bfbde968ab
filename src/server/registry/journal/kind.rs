//! The kinds of log lines. Each kind has its own limit.

use enum_map::Enum;
use log::Level;
use strum::Display;

/// A kind of log lines, which share a limit.
#[derive(Clone, Copy, Debug, Display, Enum, PartialEq, Eq)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Kind {
    Registered,
    Updated,
    RegisteredAgain,
    Unregistered,
    RegistryFull,
    Alternates,
    TurnServer,
    Granted,
    Released,
    Operator,
    CostMode,
    Cleanup,
    StorageFails,
    StorageWorks,
    #[strum(serialize = "changed-from-outside")]
    Reloaded,
    Compared,
    StoodStill,
    Constraint,
}

impl Kind {
    /// The log level of the kind.
    pub(crate) const fn level(self) -> Level {
        match self {
            Self::Registered
            | Self::Updated
            | Self::RegisteredAgain
            | Self::Unregistered
            | Self::TurnServer
            | Self::Granted
            | Self::Released
            | Self::Operator
            | Self::Cleanup
            | Self::StorageWorks
            | Self::Compared => Level::Info,
            Self::RegistryFull
            | Self::Alternates
            | Self::CostMode
            | Self::Reloaded
            | Self::StoodStill => Level::Warn,
            Self::StorageFails | Self::Constraint => Level::Error,
        }
    }
}
