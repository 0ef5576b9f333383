//! What the credentials may do: the GitHub App's permissions, a personal access token's scopes, the service account's
//! permissions.
//!
//! The Proxmox VE token's privileges are the lab's.

use std::collections::{BTreeMap, BTreeSet};

use super::World;
use super::gcp::{self, routes as google};
use super::github::runners::Scope;
use super::github::{self, HookOwner, routes as hub};
use super::request::{Request, Response};

/// What the credentials may do, and how the App is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// What the App's installation may do: permission → `read` or `write`.
    pub app_permissions: BTreeMap<String, String>,
    /// What the App asks to be told of.
    pub app_events: Vec<String>,
    /// Whether the App is installed anywhere.
    pub installed: bool,
    /// Whether its installation is suspended.
    pub suspended: bool,
    /// What an organization's or a repository's webhook tells of.
    pub hook_events: Vec<String>,
    /// Whether that webhook is sent at all.
    pub hook_active: bool,
    /// The scopes of the personal access token, which is a classic one.
    pub token_scopes: BTreeSet<String>,
    /// The permissions of the service account in the project; none for all that there are.
    pub gcp_permissions: Option<BTreeSet<String>>,
}

impl Default for Rights {
    fn default() -> Self {
        let permissions = [
            ("actions", "write"),
            ("administration", "write"),
            ("checks", "write"),
            ("metadata", "read"),
            ("organization_hooks", "write"),
            ("organization_self_hosted_runners", "write"),
            ("repository_hooks", "write"),
        ];
        let scopes = ["admin:org", "admin:org_hook", "manage_runners:enterprise", "repo"];
        Self {
            app_permissions: permissions.map(|(name, level)| (name.to_owned(), level.to_owned())).into(),
            app_events: vec!["workflow_job".to_owned()],
            installed: true,
            suspended: false,
            hook_events: vec!["workflow_job".to_owned()],
            hook_active: true,
            token_scopes: scopes.map(str::to_owned).into(),
            gcp_permissions: None,
        }
    }
}

const CHECKS: &str = "checks";
const RUNNERS: &str = "organization_self_hosted_runners";

/// The permission that a call of GitHub's wants of an App. An enterprise's are not told apart here.
fn permission_of(call: &hub::Call) -> Option<(&'static str, &'static str)> {
    use hub::Call;
    let of_scope = |scope: &Scope, level| match scope {
        Scope::Organization(_) => Some((RUNNERS, level)),
        Scope::Repository(_) => Some(("administration", level)),
        Scope::Enterprise(_) => None,
    };
    let of_hook = |owner: &HookOwner, level| match owner {
        HookOwner::App => None,
        HookOwner::Organization(_) => Some(("organization_hooks", level)),
        HookOwner::Repository(_) => Some(("repository_hooks", level)),
    };
    match call {
        Call::GenerateJitConfig(scope) | Call::RegistrationToken(scope) | Call::DeleteRunner(scope, _) => {
            of_scope(scope, "write")
        }
        Call::ListRunners(scope)
        | Call::GetRunner(scope, _)
        | Call::ListRunnerGroups(scope)
        | Call::GetRunnerGroup(scope, _)
        | Call::RunnerGroupRepositories(scope, _) => of_scope(scope, "read"),
        Call::GetJob(..) | Call::ListRuns(_) | Call::GetRun(..) | Call::RunJobs(..) => {
            Some(("actions", "read"))
        }
        Call::CancelRun(..) => Some(("actions", "write")),
        Call::CreateCheckRun(_) | Call::UpdateCheckRun(..) => Some((CHECKS, "write")),
        Call::ListHooks(owner)
        | Call::GetHook(owner, _)
        | Call::ListDeliveries(owner, _)
        | Call::GetDelivery(owner, ..) => of_hook(owner, "read"),
        Call::Redeliver(owner, ..) => of_hook(owner, "write"),
        Call::GetRepository(_) | Call::OrganizationRepositories(_) | Call::InstallationRepositories => {
            Some(("metadata", "read"))
        }
        Call::GetApp
        | Call::ListInstallations
        | Call::GetInstallation(_)
        | Call::FindInstallation(_)
        | Call::CreateToken(_)
        | Call::HookConfig
        | Call::SetHookConfig
        | Call::ConvertManifest(_)
        | Call::Meta
        | Call::RateLimit => None,
    }
}

/// The scope that a call about runners wants of a classic token.
fn scope_of(call: &hub::Call) -> Option<&'static str> {
    match permission_of(call)?.0 {
        RUNNERS => Some("admin:org"),
        "administration" => Some("repo"),
        _ => None,
    }
}

/// The permission that a call of Compute Engine's wants.
fn permission_at_google(call: &google::Call) -> Option<&'static str> {
    use google::Call;
    match call {
        Call::Token | Call::TestPermissions(..) => None,
        Call::Insert(_) => Some("compute.instances.create"),
        Call::GetInstance(..) => Some("compute.instances.get"),
        Call::ListInstances(_) | Call::AggregatedInstances => Some("compute.instances.list"),
        Call::DeleteInstance(..) => Some("compute.instances.delete"),
        Call::StopInstance(..) => Some("compute.instances.stop"),
        Call::StartInstance(..) => Some("compute.instances.start"),
        Call::SetLabels(..) => Some("compute.instances.setLabels"),
        Call::SetMetadata(..) => Some("compute.instances.setMetadata"),
        Call::GetOperation(..) | Call::WaitOperation(..) => Some("compute.zoneOperations.get"),
        Call::GetTemplate(_) => Some("compute.instanceTemplates.get"),
        Call::ListTemplates => Some("compute.instanceTemplates.list"),
        Call::GetRegion(_) => Some("compute.regions.get"),
        Call::ListRegions => Some("compute.regions.list"),
        Call::GetZone(_) => Some("compute.zones.get"),
        Call::ListZones => Some("compute.zones.list"),
        Call::GetMachineType(..) => Some("compute.machineTypes.get"),
        Call::ListAcceleratorTypes(_) => Some("compute.acceleratorTypes.list"),
        Call::GetAcceleratorType(..) => Some("compute.acceleratorTypes.get"),
        Call::GetProject => Some("compute.projects.get"),
    }
}

impl World {
    /// Whether an App's installation may do this. A refusal names the permission in a header.
    pub(crate) fn check_installation(&self, call: &hub::Call) -> Result<(), Response> {
        let Some((name, level)) = permission_of(call) else { return Ok(()) };
        let had = self.settings.rights.app_permissions.get(name).map(String::as_str);
        let is_enough = had.is_some_and(|had| had == level || level == "read" || had == "admin");
        if is_enough {
            return Ok(());
        }
        let refusal = github::error(403, "Resource not accessible by integration");
        Err(refusal.header("x-accepted-github-permissions", format!("{name}={level}")))
    }

    /// Whether the personal access token may do this.
    pub(crate) fn check_scope(&self, call: &hub::Call) -> Result<(), Response> {
        if permission_of(call).is_some_and(|(name, _)| name == CHECKS) {
            // Whatever its scopes are: only an App may.
            return Err(github::error(403, "You must authenticate via a GitHub App."));
        }
        match scope_of(call) {
            Some(scope) if !self.settings.rights.token_scopes.contains(scope) => {
                let refusal = github::error(403, "Must have admin rights to Organization.");
                Err(refusal.header("x-accepted-oauth-scopes", scope))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The header by which a classic token is known.
    pub(crate) fn scopes_header(&self, request: &Request, response: Response) -> Response {
        if request.bearer_token() != Some(&self.access.pat) {
            return response;
        }
        let scopes: Vec<&str> = self.settings.rights.token_scopes.iter().map(String::as_str).collect();
        response.header("x-oauth-scopes", scopes.join(", "))
    }

    /// Whether the service account may do this.
    pub(crate) fn check_google(&self, call: &google::Call, path: &str) -> Result<(), Response> {
        match permission_at_google(call) {
            Some(permission) if !self.may_at_google(permission) => {
                let what = path.trim_start_matches("/compute/v1/");
                let message = format!("Required '{permission}' permission for '{what}'");
                Err(gcp::error(403, "forbidden", &message))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the service account has a permission.
    pub(crate) fn may_at_google(&self, permission: &str) -> bool {
        self.settings.rights.gcp_permissions.as_ref().is_none_or(|all| all.contains(permission))
    }

    /// Change what the credentials may do: calls are judged by it from now on.
    pub fn change_rights(&mut self, change: impl FnOnce(&mut Rights)) {
        change(&mut self.settings.rights);
    }
}
