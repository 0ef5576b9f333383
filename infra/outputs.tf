output "webhook_url" {
  description = "The address to put into the GitHub App's webhook URL."
  value       = "${module.endpoint.url}/webhook"
}

output "health_url" {
  description = "Answers 200 with the version while the webhook runs."
  value       = "${module.endpoint.url}/healthz"
}

output "mayfly_toml" {
  description = "The configuration as the functions have it, for `mayfly drain` and the like from a desk. It has no secrets in it."
  value       = module.config.toml
}

output "table_name" {
  description = "The table's name."
  value       = module.table.name
}

output "function_names" {
  description = "The two functions' names."
  value       = { webhook = module.webhook.function_name, sweeper = module.sweeper.function_name }
}

output "gcp_service_account" {
  description = "The service account that the functions act as in Google Cloud; null without it."
  value       = one(module.gcp[*].service_account)
}

output "dashboard_url" {
  description = "The dashboard in the AWS console."
  value       = "https://${data.aws_region.here.region}.console.aws.amazon.com/cloudwatch/home?region=${data.aws_region.here.region}#dashboards/dashboard/${module.monitoring.dashboard_name}"
}

output "metrics_dashboard_name" {
  description = "The name of the dashboard that draws what `cloudwatch_metrics` measures; null without it."
  value       = module.monitoring.metrics_dashboard_name
}
