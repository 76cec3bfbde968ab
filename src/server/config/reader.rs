//! Reads settings one by one and collects all faults, so that they can be reported at once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::str::FromStr;

use super::declaration::{Number, SecretText, Setting, SettingGroup, Text};
use super::secret::{self, Secret, is_quoted};

/// All that is wrong with the settings, one line for each fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    faults: Vec<String>,
}

impl Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.faults.join("\n"))
    }
}

impl std::error::Error for SettingsError {}

/// Values by the name of their setting.
pub(crate) type Given = BTreeMap<String, OsString>;

/// Reads settings, and collects their declarations and their faults.
pub(crate) struct Reader<'g> {
    given: &'g Given,
    /// The group of the settings that are read next.
    group: SettingGroup,
    declared: Vec<Setting>,
    faults: Vec<String>,
    notices: Vec<String>,
}

impl<'g> Reader<'g> {
    pub(crate) fn new(given: &'g Given) -> Self {
        Self {
            given,
            group: SettingGroup::Server,
            declared: Vec::new(),
            faults: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// The settings that were read, in this order.
    pub(crate) fn into_declared(self) -> Vec<Setting> {
        self.declared
    }

    /// Returns all faults, including each given name that is not a setting.
    pub(crate) fn finish(mut self) -> Result<(), SettingsError> {
        for name in self.given.keys() {
            let is_declared = self.declared.iter().any(|setting| {
                let file_name = match setting.group {
                    SettingGroup::Secret { file_name } => Some(file_name),
                    _ => None,
                };
                setting.name == name || file_name == Some(name)
            });
            if !is_declared {
                self.faults.push(format!("{name} is not a setting"));
            }
        }
        if self.faults.is_empty() {
            return Ok(());
        }
        Err(SettingsError {
            faults: self.faults,
        })
    }

    /// Sets the group of the settings that are read next.
    pub(crate) fn begin(&mut self, group: SettingGroup) {
        self.group = group;
    }

    pub(crate) fn add_fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    /// A whole number; 0 if the given one is wrong.
    pub(crate) fn whole<N>(&mut self, setting: &Number<N>) -> N
    where
        N: FromStr + Display + PartialOrd + Copy + Default,
    {
        let number = self.number(setting, "whole number");
        number.unwrap_or_default()
    }

    /// A number that need not be whole; the smallest possible one if the given one is wrong.
    pub(crate) fn decimal(&mut self, setting: &Number<f64>) -> f64 {
        let number = self.number(setting, "number");
        number.unwrap_or(*setting.range.start())
    }

    fn number<N>(&mut self, setting: &Number<N>, kind: &str) -> Option<N>
    where
        N: FromStr + Display + PartialOrd + Copy,
    {
        let name = setting.name;
        self.declared.push(Setting {
            name,
            placeholder: setting.unit,
            default: Some(setting.default.to_string()),
            meaning: setting.meaning,
            group: self.group,
        });
        let Some(text) = self.given_text(name).ok()? else {
            return Some(setting.default);
        };
        let number = text.parse().ok();
        let number = number.filter(|number| setting.range.contains(number));
        if number.is_none() {
            let (min, max) = (setting.range.start(), setting.range.end());
            self.faults.push(format!(
                "{name} must be a {kind} from {min} to {max}, not {text:?}"
            ));
        }
        number
    }

    /// Adds what the operator should know about a setting.
    pub(crate) fn add_notice(&mut self, notice: String) {
        self.notices.push(notice);
    }

    /// Returns what the operator should know about the settings that were read.
    pub(crate) fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// Whether a value is given, other than the default.
    pub(crate) fn is_given(&self, setting: &Text) -> bool {
        self.given.contains_key(setting.name)
    }

    /// Declares a setting whose value is not used.
    pub(crate) fn declare<T>(&mut self, setting: &Text) -> Option<T> {
        self.declared.push(self.declaration_of(setting));
        None
    }

    fn declaration_of(&self, setting: &Text) -> Setting {
        Setting {
            name: setting.name,
            placeholder: setting.placeholder,
            default: setting.default.map(str::to_owned),
            meaning: setting.meaning,
            group: self.group,
        }
    }

    /// The value of a setting that has a default; `None` if the given one is wrong.
    pub(crate) fn parse<T: FromStr>(&mut self, setting: &Text) -> Option<T> {
        let text = self.text(setting)?;
        self.parse_text(setting, &text)
    }

    /// The value of a setting that may be left out. An empty one counts as left out.
    pub(crate) fn parse_optional<T: FromStr>(&mut self, setting: &Text) -> Option<T> {
        let text = self.text(setting).filter(|text| !text.is_empty())?;
        self.parse_text(setting, &text)
    }

    /// The text of a setting, whatever its form; `None` if there is none.
    fn text(&mut self, setting: &Text) -> Option<String> {
        self.declared.push(self.declaration_of(setting));
        let given = self.given_text(setting.name).ok()?;
        given.or_else(|| setting.default.map(str::to_owned))
    }

    fn parse_text<T: FromStr>(&mut self, setting: &Text, text: &str) -> Option<T> {
        let value = text.parse().ok();
        if value.is_none() {
            let Text { name, form, .. } = setting;
            self.faults
                .push(format!("{name} must be {form}, not {text:?}"));
        }
        value
    }

    /// A secret, given as text or in a file; `None` if there is none, or if it is wrong.
    pub(crate) fn secret(&mut self, setting: &SecretText) -> Option<Secret> {
        let SecretText {
            name, file_name, ..
        } = *setting;
        self.declared.push(Setting {
            name,
            placeholder: "SECRET",
            default: None,
            meaning: setting.meaning,
            group: SettingGroup::Secret { file_name },
        });
        let value_of = |name| self.given.get(name).filter(|value| !value.is_empty());
        match (value_of(name), value_of(file_name)) {
            (None, None) => None,
            (Some(_), Some(_)) => {
                self.add_fault(format!(
                    "{name} and {file_name} must not both be given: only one of them can apply"
                ));
                None
            }
            (Some(_), None) => self.given_text(name).ok().flatten().map(Secret::new),
            (None, Some(_)) if self.given_text(file_name).is_err() => None,
            (None, Some(path)) => match secret::read_file(path) {
                Ok((secret, notice)) => {
                    let notice = notice.map(|notice| format!("{file_name}: {notice}"));
                    self.notices.extend(notice);
                    Some(secret)
                }
                Err(reason) => {
                    self.add_fault(format!(
                        "{file_name} must name a file with a secret in UTF-8, not {path:?}: {reason}"
                    ));
                    None
                }
            },
        }
    }

    /// The text that was given, if any.
    ///
    /// # Errors
    /// The value is not UTF-8, or is in quotes. This is added to the faults.
    fn given_text(&mut self, name: &str) -> Result<Option<String>, NoText> {
        let Some(value) = self.given.get(name) else {
            return Ok(None);
        };
        match value.to_str() {
            Some(text) if is_quoted(text) => {
                self.add_fault(format!(
                    "{name} has quotes around its value, which belong to it there (a container's \
                     --env-file and -e keep them, a shell does not); leave them out"
                ));
                Err(NoText)
            }
            Some(text) => Ok(Some(text.to_owned())),
            None => {
                self.add_fault(format!("{name} must be text in UTF-8"));
                Err(NoText)
            }
        }
    }
}

/// A value cannot be used, and was added to the faults.
struct NoText;
