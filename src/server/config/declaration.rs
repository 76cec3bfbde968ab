//! How a setting is declared: once, as a constant in the file of the field that it fills.

use std::ops::RangeInclusive;

/// A number.
#[derive(Debug)]
pub(crate) struct Number<N> {
    pub(crate) name: &'static str,
    /// What the help shows in place of a value.
    pub(crate) unit: &'static str,
    pub(crate) default: N,
    pub(crate) range: RangeInclusive<N>,
    pub(crate) meaning: &'static str,
}

/// A text of a certain form.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) name: &'static str,
    /// What the help shows in place of a value.
    pub(crate) placeholder: &'static str,
    pub(crate) default: Option<&'static str>,
    /// What the value must be, as error messages say it.
    pub(crate) form: &'static str,
    pub(crate) meaning: &'static str,
}

/// A secret, which is given as text or as the path of a file that contains it.
#[derive(Debug)]
pub(crate) struct SecretText {
    pub(crate) name: &'static str,
    /// The setting that names the file.
    pub(crate) file_name: &'static str,
    pub(crate) meaning: &'static str,
}

/// A declared setting, for a command line and for documents.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// Its name in the environment and in a settings file, such as `LISTEN_ADDR`.
    pub name: &'static str,
    /// What a help text shows in place of a value, such as `ADDR:PORT`.
    pub placeholder: &'static str,
    /// The value that is used if none is given; `None` if the setting has no default.
    pub default: Option<String>,
    /// What it is for, in one line.
    pub meaning: &'static str,
    /// What it belongs to.
    pub group: SettingGroup,
}

/// What a setting belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingGroup {
    /// The server as a whole.
    Server,
    /// The relay budget, which can also be simulated.
    RelayBudget,
    /// A secret of the operator and the TURN servers. No command line may have a flag for it,
    /// since every user of the machine can read the command line of a process.
    Secret {
        /// The setting that names a file with the secret.
        file_name: &'static str,
    },
}
