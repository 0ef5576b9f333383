output "dashboard_name" {
  description = "The dashboard's name."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}

output "metrics_dashboard_name" {
  description = "The name of the dashboard of the functions' own metrics; null without them."
  value       = one(aws_cloudwatch_dashboard.metrics[*].dashboard_name)
}
