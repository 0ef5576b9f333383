output "templates" {
  description = "The instance templates' names, by machine."
  value       = { for machine, template in google_compute_instance_template.this : machine => template.name }

  # A VM made before would be refused, or come up without a way out.
  depends_on = [google_compute_router_nat.this, google_compute_subnetwork_iam_member.this]
}

output "service_account" {
  description = "The service account that the functions act as."
  value       = google_service_account.this.email
}

output "credentials" {
  description = "The credentials file of the functions: keyless, so no secret. It names no metadata server, which Lambda does not have: the role's keys are in the environment there."
  value = jsonencode({
    type                              = "external_account"
    audience                          = "//iam.googleapis.com/${google_iam_workload_identity_pool_provider.aws.name}"
    subject_token_type                = "urn:ietf:params:aws:token-type:aws4_request"
    token_url                         = "https://sts.googleapis.com/v1/token"
    service_account_impersonation_url = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${google_service_account.this.email}:generateAccessToken"
    credential_source = {
      environment_id                 = "aws1"
      regional_cred_verification_url = "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"
    }
  })

  depends_on = [google_service_account_iam_member.this, google_project_iam_member.ours, google_project_iam_member.look]
}
