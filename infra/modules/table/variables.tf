variable "name" {
  description = "The table's name."
  type        = string
}

variable "deletion_protection" {
  description = "Whether the table may not be deleted."
  type        = bool
}
