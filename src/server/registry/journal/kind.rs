//! The kinds of lines that are limited, each for itself.

use enum_map::Enum;
use log::Level;
use strum::Display;

/// Lines that share a limit.
#[derive(Clone, Copy, Debug, Display, Enum, PartialEq, Eq)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Kind {
    Registered,
    Updated,
    RegisteredAgain,
    RegistryFull,
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
    /// The level of its lines.
    pub(crate) const fn level(self) -> Level {
        match self {
            Self::Registered
            | Self::Updated
            | Self::RegisteredAgain
            | Self::TurnServer
            | Self::Granted
            | Self::Released
            | Self::Operator
            | Self::Cleanup
            | Self::StorageWorks
            | Self::Compared => Level::Info,
            Self::RegistryFull | Self::CostMode | Self::Reloaded | Self::StoodStill => Level::Warn,
            Self::StorageFails | Self::Constraint => Level::Error,
        }
    }
}
