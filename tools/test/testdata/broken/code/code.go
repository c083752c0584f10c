package code

func F() int { return "text" }
