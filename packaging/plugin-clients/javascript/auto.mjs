import './auto.cjs'
