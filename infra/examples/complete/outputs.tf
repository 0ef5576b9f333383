output "webhook_url" {
  description = "Put this into the GitHub App's webhook URL."
  value       = module.mayfly.webhook_url
}

output "health_url" {
  description = "Answers 200 with the version while the webhook runs."
  value       = module.mayfly.health_url
}

output "dashboard_url" {
  description = "The dashboard in the AWS console."
  value       = module.mayfly.dashboard_url
}

output "mayfly_toml" {
  description = "For `mayfly drain`: terraform output -raw mayfly_toml > mayfly.toml"
  value       = module.mayfly.mayfly_toml
}
