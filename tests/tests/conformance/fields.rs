//! JSON objects read field by field, so that nothing in them is skipped in silence.

use std::cell::RefCell;
use std::collections::BTreeSet;

use fusebox::ConfigError;
use serde_json::{Map, Value};

/// What of a vector fusebox has no words for; begins with the name of the field.
#[derive(Debug)]
pub(crate) struct NotExpressible(pub(crate) String);

impl NotExpressible {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl From<ConfigError> for NotExpressible {
    fn from(error: ConfigError) -> Self {
        Self(format!("fusebox refuses the configuration: {error}"))
    }
}

/// An object of which it is known which fields have been read.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    path: String,
    map: &'a Map<String, Value>,
    read: RefCell<BTreeSet<String>>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(path: impl Into<String>, map: &'a Map<String, Value>) -> Self {
        Self { path: path.into(), map, read: RefCell::default() }
    }

    pub(crate) fn value(&self, key: &str) -> Option<&'a Value> {
        self.read.borrow_mut().insert(key.to_owned());
        self.map.get(key)
    }

    /// A field that says nothing about behaviour.
    pub(crate) fn ignore(&self, key: &str) {
        self.value(key);
    }

    /// Why `key` cannot be had.
    pub(crate) fn cannot(&self, key: &str, why: &str) -> NotExpressible {
        let value = self.map.get(key).unwrap_or(&Value::Null);
        NotExpressible(format!("{} = {value}: {why}", self.at(key)))
    }

    /// Where `key` is.
    pub(crate) fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    fn read_as<T>(
        &self,
        key: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, NotExpressible> {
        match self.value(key) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| self.cannot(key, what)),
        }
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>, NotExpressible> {
        self.read_as(key, "not a number", Value::as_f64)
    }

    pub(crate) fn count(&self, key: &str) -> Result<Option<u32>, NotExpressible> {
        self.read_as(key, "not a count", |value| value.as_u64().and_then(|n| u32::try_from(n).ok()))
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>, NotExpressible> {
        self.read_as(key, "not a text", Value::as_str)
    }

    pub(crate) fn flag(&self, key: &str) -> Result<bool, NotExpressible> {
        Ok(self.read_as(key, "not a yes or no", Value::as_bool)?.unwrap_or(false))
    }

    pub(crate) fn list(&self, key: &str) -> Result<&'a [Value], NotExpressible> {
        Ok(self.read_as(key, "not a list", Value::as_array)?.map_or(&[], Vec::as_slice))
    }

    pub(crate) fn object(&self, key: &str) -> Result<Option<Self>, NotExpressible> {
        let object = self.read_as(key, "not an object", Value::as_object)?;
        Ok(object.map(|map| Self::new(self.at(key), map)))
    }

    /// A field that must be there.
    pub(crate) fn needed<T>(&self, key: &str, value: Option<T>) -> Result<T, NotExpressible> {
        value.ok_or_else(|| self.cannot(key, "needed here"))
    }

    /// That every field has been read.
    pub(crate) fn finish(self) -> Result<(), NotExpressible> {
        let read = self.read.borrow();
        match self.map.keys().find(|key| !read.contains(*key)) {
            Some(key) => Err(self.cannot(key, "not known to the runner")),
            None => Ok(()),
        }
    }
}
