//! Whose jobs a pool serves beyond their repositories' names: those of public ones or not, and of forks' code.
//!
//! A pull request from a fork runs a stranger's code. What a delivery says of a job shows how visible its repository is, not
//! whose code it runs: that is known by its workflow run alone.

use std::fmt;

use crate::brief::brief;

/// Who sees a repository (`repository.visibility`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody, and everybody may propose changes from a fork.
    Public,
    /// The members of an enterprise.
    Internal,
    /// Whom its owner lets in.
    Private,
}

impl Visibility {
    /// GitHub's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Private => "private",
        }
    }

    /// Of a repository that GitHub describes: by `visibility`, or by the older `private`, where it says either.
    pub fn of(visibility: Option<&str>, private: Option<bool>) -> Option<Self> {
        match visibility {
            Some("public") => Some(Self::Public),
            Some("internal") => Some(Self::Internal),
            Some("private") => Some(Self::Private),
            Some(_) | None => private.map(|private| if private { Self::Private } else { Self::Public }),
        }
    }
}

/// Whose jobs a pool serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Audience {
    /// Of which repositories.
    pub repositories: Repositories,
    /// Whether of forks.
    pub forks: Forks,
}

/// The repositories that a pool serves, by who sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repositories {
    /// All.
    #[default]
    All,
    /// Public ones only.
    Public,
    /// Private and internal ones only.
    NotPublic,
}

/// Whether a pool serves jobs that run a fork's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Forks {
    /// Not where the repository is public: anybody may fork it. Elsewhere only those fork it who may read it.
    #[default]
    OfFew,
    /// Yes.
    Served,
    /// Not at all.
    Refused,
}

/// What GitHub says of the workflow run that a job is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Who sees its repository, where that is said.
    pub visibility: Option<Visibility>,
    /// Whose code it runs.
    pub head: Head,
}

/// Whose code a workflow run runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// The repository's own.
    Own,
    /// That of another repository: a fork, by its name.
    Fork(String),
    /// That of a pull request whose repository is gone.
    Gone,
}

/// Why a job is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unwanted {
    /// Its repository is public, or is not.
    Repository(Repositories),
    /// It runs a fork's code.
    Fork(Head),
}

/// What is repeated of a fork's name; GitHub's have at most 140 characters.
const NAME_LONGEST: usize = 150;

impl fmt::Display for Unwanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository(Repositories::NotPublic) => {
                f.write_str("the pool serves no public repositories")
            }
            Self::Repository(Repositories::All | Repositories::Public) => {
                f.write_str("the pool serves public repositories only")
            }
            Self::Fork(head) => {
                match head {
                    Head::Fork(name) => {
                        write!(f, "it runs the code of the fork {}", brief(name, NAME_LONGEST))?
                    }
                    Head::Own | Head::Gone => f.write_str("it runs the code of a fork that is gone")?,
                }
                f.write_str(", which the pool does not serve (`allow_forks`)")
            }
        }
    }
}

impl Audience {
    /// Everybody's.
    pub const ALL: Self = Self { repositories: Repositories::All, forks: Forks::Served };

    /// Whether jobs of such repositories may be served; where it is not said, they may.
    pub fn takes(&self, visibility: Option<Visibility>) -> bool {
        match (self.repositories, visibility) {
            (Repositories::All, _) | (_, None) | (Repositories::Public, Some(Visibility::Public)) => true,
            (Repositories::NotPublic, Some(Visibility::Internal | Visibility::Private)) => true,
            (Repositories::Public, Some(_)) | (Repositories::NotPublic, Some(Visibility::Public)) => false,
        }
    }

    /// Whether a job's run has to be looked at before it is served, by what was said of its repository.
    pub fn has_questions(&self, visibility: Option<Visibility>) -> bool {
        let of_repository = self.repositories != Repositories::All && visibility.is_none();
        let of_forks = match self.forks {
            Forks::Served => false,
            Forks::Refused => true,
            Forks::OfFew => matches!(visibility, Some(Visibility::Public) | None),
        };
        of_repository || of_forks
    }

    /// Whether a job may be served whose run GitHub does not show us. A public repository's runs are seen by everybody, so this one is
    /// gone, or was never public.
    pub fn admits_unseen(&self) -> bool {
        self.forks != Forks::Refused && self.repositories != Repositories::Public
    }

    /// Whether a job of that run may be served.
    pub fn admits(&self, run: &Run) -> Result<(), Unwanted> {
        if !self.takes(run.visibility) {
            return Err(Unwanted::Repository(self.repositories));
        }
        let refused = match self.forks {
            Forks::Served => false,
            Forks::Refused => true,
            Forks::OfFew => matches!(run.visibility, Some(Visibility::Public) | None),
        };
        match run.head {
            Head::Own => Ok(()),
            Head::Fork(_) | Head::Gone if refused => Err(Unwanted::Fork(run.head.clone())),
            Head::Fork(_) | Head::Gone => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Option<Visibility>; 4] =
        [Some(Visibility::Public), Some(Visibility::Internal), Some(Visibility::Private), None];

    fn audience(repositories: Repositories, forks: Forks) -> Audience {
        Audience { repositories, forks }
    }

    #[test]
    fn public_and_private_repositories_are_told_apart_and_what_is_not_said_is_asked_for() {
        let takes = |seen| ALL.map(|visibility| audience(seen, Forks::Served).takes(visibility));
        assert_eq!(takes(Repositories::All), [true, true, true, true]);
        assert_eq!(takes(Repositories::Public), [true, false, false, true]);
        assert_eq!(takes(Repositories::NotPublic), [false, true, true, true]);
        let asks = |seen, forks| ALL.map(|visibility| audience(seen, forks).has_questions(visibility));
        assert_eq!(asks(Repositories::All, Forks::Served), [false, false, false, false]);
        assert_eq!(asks(Repositories::NotPublic, Forks::Served), [false, false, false, true]);
        assert_eq!(asks(Repositories::All, Forks::OfFew), [true, false, false, true]);
        assert_eq!(asks(Repositories::All, Forks::Refused), [true, true, true, true]);
    }

    #[test]
    fn a_forks_code_is_refused_where_anybody_may_fork_unless_the_user_says_otherwise() {
        let forks = |forks, visibility| {
            let of = |head| audience(Repositories::All, forks).admits(&Run { visibility, head }).is_ok();
            assert!(of(Head::Own));
            assert_eq!(of(Head::Gone), of(Head::Fork("a/b".into())));
            of(Head::Gone)
        };
        assert_eq!(ALL.map(|visibility| forks(Forks::OfFew, visibility)), [false, true, true, false]);
        assert_eq!(ALL.map(|visibility| forks(Forks::Refused, visibility)), [false; 4]);
        assert_eq!(ALL.map(|visibility| forks(Forks::Served, visibility)), [true; 4]);
    }

    #[test]
    fn a_run_that_is_not_to_be_seen_is_no_fork_of_a_public_repository_and_may_be_one_of_a_private() {
        let unseen = |repositories, forks| audience(repositories, forks).admits_unseen();
        assert!(unseen(Repositories::All, Forks::OfFew) && unseen(Repositories::NotPublic, Forks::Served));
        assert!(!unseen(Repositories::All, Forks::Refused) && !unseen(Repositories::Public, Forks::Served));
    }

    #[test]
    fn a_run_settles_what_the_delivery_left_open() {
        let run = |visibility| Run { visibility, head: Head::Own };
        let few = audience(Repositories::NotPublic, Forks::Served);
        assert_eq!(few.admits(&run(Some(Visibility::Private))), Ok(()));
        let refused = few.admits(&run(Some(Visibility::Public)));
        assert_eq!(refused, Err(Unwanted::Repository(Repositories::NotPublic)));
        assert_eq!(refused.unwrap_err().to_string(), "the pool serves no public repositories");
        let fork = Unwanted::Fork(Head::Fork(format!("a/{}", "b".repeat(500)))).to_string();
        assert!(fork.starts_with("it runs the code of the fork a/bbb") && fork.len() < 250, "{fork}");
    }
}
