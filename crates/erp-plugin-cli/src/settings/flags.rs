//! Flags that stand for settings: a command names which it takes, and the table says the rest.

use std::marker::PhantomData;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::Options;
use super::field::Field;
use super::table::{Setting, table};

/// Which flags a command takes.
pub(crate) trait Group {
    /// Whether this is one of them.
    fn has(flag: &str) -> bool;
}

/// Part of a command's arguments: the flags of a group. What was given is in
/// [`Settings`](super::Settings).
#[derive(Clone)]
pub(crate) struct Flags<G>(PhantomData<G>);

/// Whether compiled code is kept.
#[derive(Clone)]
pub(crate) struct Cache;

impl Group for Cache {
    fn has(flag: &str) -> bool {
        flag == "no-cache"
    }
}

impl<G: Group> Args for Flags<G> {
    fn augment_args(command: Command) -> Command {
        let settings = table();
        let own = settings.iter().filter_map(|setting| Some((setting, setting.flag?)));
        own.filter(|(_, flag)| G::has(flag))
            .fold(command, |command, (setting, flag)| command.arg(argument(setting, flag)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<G: Group> FromArgMatches for Flags<G> {
    fn from_arg_matches(_: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(PhantomData))
    }

    fn update_from_arg_matches(&mut self, _: &ArgMatches) -> Result<(), clap::Error> {
        Ok(())
    }
}

fn argument(setting: &Setting, flag: &'static str) -> Arg {
    let argument = Arg::new(flag).long(flag);
    if let Field::Switch(_) = setting.field {
        return argument.action(ArgAction::SetTrue).help("Compile again, and keep no compiled code");
    }
    let default = setting.default_text().map(|text| format!(" [default: {text}]")).unwrap_or_default();
    let about = match setting.field {
        Field::Limit(_) => format!("Limit on {}{default}", setting.about),
        _ => format!("{}{default}", setting.about),
    };
    let field = setting.field.clone();
    argument
        .value_name(setting.field.value_name())
        .help(about)
        .value_parser(move |text: &str| field.set(&mut Options::default(), text).map(|()| text.to_owned()))
}

/// What the command line says of a setting.
pub(super) fn given(matches: &ArgMatches, setting: &Setting) -> Option<String> {
    let flag = setting.flag?;
    // A command that does not take the flag knows nothing of it.
    if let Field::Switch(_) = setting.field {
        let is_off = matches.try_get_one::<bool>(flag).ok().flatten().copied().unwrap_or(false);
        return is_off.then(|| "false".to_owned());
    }
    matches.try_get_one::<String>(flag).ok().flatten().cloned()
}
