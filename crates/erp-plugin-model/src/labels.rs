//! Text that people read, in the languages of the project's readers.

/// A title or label per language. Empty means: show the name itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// English.
    pub en: Option<String>,
    /// Chinese.
    pub zh: Option<String>,
}

impl Labels {
    /// The text for a language tag (`zh-CN`, `en`), else the other language, else nothing.
    #[must_use]
    pub fn get(&self, language: &str) -> Option<&str> {
        let (first, second) =
            if language.starts_with("zh") { (&self.zh, &self.en) } else { (&self.en, &self.zh) };
        first.as_deref().or(second.as_deref())
    }
}
